"""DaRec on ml-100k (inside RecBole's wheel) from Python; its output is in docs/example.md."""

import argparse

from recbole_darec.api import Recommender, analyze, train

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=30)
epochs = parser.parse_args().epochs

run = train("DaRec", "ml-100k", epochs=epochs, learning_rate=0.005, state="WARNING")
print(run, end="\n\n")

recommender = Recommender(run, title="{movie_title} ({release_year})")
print(recommender.recommend(["196"], k=5), end="\n\n")
print(recommender.similar(["50"], k=5), end="\n\n")

recommender.add_items({"new": "Space Pirates (1999). Genres: Action Adventure Sci-Fi"})
print(recommender.similar(["new"], k=5), end="\n\n")

analysis = analyze(run)
print(analysis, end="\n\n")
print(analysis.tables["structure"].to_string(index=False), end="\n\n")
print(analysis.report("report").html)
