"""DaRec on ml-100k (inside RecBole's wheel) from Python; its output is in docs/example.md."""

import argparse

from recbole_darec.api import (
    Explainer,
    NewItems,
    Recommender,
    analyze,
    export_vectors,
    train,
    write_report,
)

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=30)
epochs = parser.parse_args().epochs

run = train("DaRec", "ml-100k", epochs=epochs, learning_rate=0.005, state="WARNING")
print(run, end="\n\n")

recommender = Recommender(run, title="{movie_title} ({release_year})")
top = recommender.recommend(["196"], k=5)
print(top, end="\n\n")
reasons = Explainer(recommender, neighbors=1).explain(top).table
print(reasons[["title", "near_text", "center"]].to_string(index=False), end="\n\n")
print(recommender.similar(["50"], k=5), end="\n\n")

texts = {"new": "Space Pirates (1999). Genres: Action Adventure Sci-Fi"}
recommender.add_items(NewItems.from_texts(run, texts))
print(recommender.similar(["new"], k=5), end="\n\n")

print(*export_vectors(run, "vectors"), sep="\n", end="\n\n")

analysis = analyze(run)
print(analysis, end="\n\n")
print(analysis.tables["structure"].to_string(index=False), end="\n\n")
print(write_report("report", analysis).html)
