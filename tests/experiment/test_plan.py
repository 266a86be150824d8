"""Plans: which runs, and whether a folder holds this experiment."""

import json

import pytest
from commanded import for_any_model

from recbole_darec.experiment.plan import load_plan, make_plan, save_plan
from recbole_darec.experiment.variant import Variant, parse_models
from recbole_darec.keys import ConfigError


def plan(settings, models="BPR,Pop", datasets=("small",), seeds="2", extra=()):
    keys = [f"--{k}={v}" for k, v in settings.items() if k != "checkpoint_dir"]
    given = [*for_any_model(keys), *extra]
    return make_plan(parse_models(models), datasets, seeds, command_line=given)


def test_models_with_options():
    found = parse_models("DaRec:backbone=SGL:alignment_weight=0.1, BPR,MultiVAE:mlp=[1,2]")
    assert found == [
        Variant(
            "DaRec:backbone=SGL:alignment_weight=0.1",
            "DaRec",
            {"backbone": "SGL", "alignment_weight": "0.1"},
        ),
        Variant("BPR", "BPR", {}),
        Variant("MultiVAE:mlp=[1,2]", "MultiVAE", {"mlp": "[1,2]"}),
    ]


def test_values_may_hold_colons_braces_and_commas():
    columns = "{'inter': [user_id,item_id],'item':[item_id]}"
    text = f"DaRec:text_encoder=openai:small:api_base=http://[::1]:80/v1,BPR:load_col={columns},Pop"
    assert [(v.model, dict(v.options)) for v in parse_models(text)] == [
        ("DaRec", {"text_encoder": "openai:small", "api_base": "http://[::1]:80/v1"}),
        ("BPR", {"load_col": columns}),
        ("Pop", {}),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("DaRec:SGL", "'DaRec:SGL' in --models is not of the form Model:key=value"),
        (":epochs=1", "':epochs=1' in --models is not of the form"),
        ("BPR,,Pop", "the list 'BPR,,Pop' has an empty entry"),
        ("BPR,BPR", "names a variant twice"),
    ],
)
def test_bad_models(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_models(text)


def test_every_combination_stands_once_and_resolved(settings):
    runs = plan(settings, "BPR,Backbone:backbone=MF:learning_rate=0.5", extra=["--seed=7"])
    assert [(run.label, run.seed) for run in runs] == [
        ("BPR", 7),
        ("BPR", 8),
        ("Backbone:backbone=MF:learning_rate=0.5", 7),
        ("Backbone:backbone=MF:learning_rate=0.5", 8),
    ]
    last = runs[-1].parameters
    assert (last["model"], last["backbone"], last["seed"]) == ("Backbone", "MF", 8)
    assert last["learning_rate"] == 0.5
    assert runs[0].parameters["learning_rate"] == 0.001
    assert last["save_per_user"] is True


def test_a_models_own_option_wins(settings):
    runs = plan(settings, "BPR:epochs=2,Pop", extra=[], seeds="1")
    assert [run.parameters["epochs"] for run in runs] == [2, 3]


def test_a_shared_key_that_one_model_reads_is_given_to_all(settings):
    runs = plan(settings, "BPR,Backbone", seeds="1", extra=["--keep_rate=0.5"])
    assert [run.parameters["keep_rate"] for run in runs] == [0.5, 0.5]


def test_seeds_by_name(settings):
    assert [run.seed for run in plan(settings, "Pop", seeds="5,3")] == [5, 3]
    assert [run.seed for run in plan(settings, "Pop", seeds="5,")] == [5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": "BPR,LightGNC"}, "LightGNC on small: .* did you mean 'LightGCN'"),
        ({"models": "DaRec:backbone=SGLL"}, "DaRec:backbone=SGLL on small: backbone 'SGLL'"),
        ({"datasets": ["smal"]}, "dataset 'smal' does not exist; did you mean 'small'"),
        ({"seeds": "0"}, "--seeds is '0'; expected at least one"),
        ({"seeds": "a"}, "--seeds is 'a'; expected a number"),
        ({"seeds": "1,1"}, "none twice"),
        ({"seeds": "2023"}, "--seeds=2023 asks for 2023 seeds; for seed 2023 write '2023,'"),
        ({"extra": ["--valid_metric=recall@9"]}, "valid_metric 'recall@9' is not computed"),
        ({"extra": ["--metrics=['GAUC']", "--valid_metric=gauc"]}, "has a value for each user"),
        ({"models": "BPR:epochs=2,BPR:epochs=2 "}, "twice"),
        ({"extra": ["--model=EASE"]}, "key 'model' cannot be set here: compare takes its models"),
        ({"models": "BPR:model=EASE"}, "BPR:model=EASE on small: key 'model' cannot be set here"),
        ({"models": "BPR:dataset=x"}, "on small: key 'dataset' cannot be set here: the datasets"),
        ({"models": "BPR:n_centers=4"}, "n_centers=4 on small: key 'n_centers' is not read by BPR"),
        (
            {"models": "BPR:topk=[5,10],Pop"},
            r"key 'topk' is \[5, 10\] for BPR:topk=\[5,10\] and \[10\] for Pop, whose numbers",
        ),
        (
            {"models": 'Pop,BPR:eval_args={"mode":"uni20"}'},
            "key 'eval_args' is .* for Pop and .*uni20.* for BPR:",
        ),
        (
            {"extra": ["--eval_args={'split': {'LS': 'valid_only'}}"]},
            "'eval_args' leaves no test part .*'valid_only'.*, but the tables are made of it",
        ),
        ({"extra": ["--eval_args={'split': {'RS': [8, 2, 0]}}"]}, "leaves no test part"),
        ({"models": "BPR:repeatable=True,Pop"}, "'repeatable' is True for .* and False for Pop"),
        ({"extra": ["--save_per_user=False"]}, "'save_per_user' is False, but the tables are made"),
        ({"extra": ["--checkpoint_dir=x"]}, "'checkpoint_dir' cannot be set here: the runs lie in"),
        ({"extra": ["--n_centers=4"]}, "key 'n_centers' is read by none of BPR, Pop; DaRec reads"),
    ],
)
def test_mistakes_are_named_before_any_run(settings, options, message):
    with pytest.raises(ConfigError, match=message):
        plan(settings, **options)


def test_a_plan_is_kept_and_another_one_refused(settings, tmp_path):
    runs = plan(settings)
    save_plan(tmp_path / "a", runs, resume=False)
    assert load_plan(tmp_path / "a") == runs
    save_plan(tmp_path / "a", runs, resume=True)
    with pytest.raises(ConfigError, match="holds an experiment already: --resume goes on with it"):
        save_plan(tmp_path / "a", runs, resume=False)
    changed = plan(settings, extra=["--reg_weight=0.5"], models="BPR,Pop,EASE")
    message = r"of another experiment: run small-EASE-2020 is in one .*\(and 3 more\)"
    with pytest.raises(ConfigError, match=message):
        save_plan(tmp_path / "a", changed, resume=True)
    slower = plan(settings, extra=["--stopping_step=3"])
    with pytest.raises(ConfigError, match="stopping_step of small-BPR-2020 is 10 there and 3 here"):
        save_plan(tmp_path / "a", slower, resume=True)


def test_a_plan_of_an_earlier_version_has_what_its_runs_did(settings, tmp_path):
    keys = [f"--{k}={v}" for k, v in settings.items() if k != "checkpoint_dir"]
    models = parse_models("DaRec,DaRec:embedding_placebo=shuffle")
    runs = make_plan(models, ["small"], "1", command_line=keys)
    save_plan(tmp_path, runs, resume=False)
    kept = json.loads((tmp_path / "plan.json").read_text())
    for run in kept:
        del run["parameters"]["embedding_placebo_users"]
    (tmp_path / "plan.json").write_text(json.dumps(kept))
    users = [run.parameters["embedding_placebo_users"] for run in load_plan(tmp_path)]
    assert users == ["rows", "item_mean"]
    with pytest.raises(ConfigError, match="embedding_placebo_users of .* is 'item_mean'"):
        save_plan(tmp_path, runs, resume=True)
    as_then = [*keys, "--embedding_placebo_users=item_mean"]
    save_plan(tmp_path, make_plan(models, ["small"], "1", command_line=as_then), resume=True)


def test_the_same_evaluation_in_other_words_is_the_same(settings):
    models = 'BPR:metrics=["NDCG","Recall"],Pop:metrics=["Recall","NDCG"]:eval_args={"mode":"full"}'
    assert len(plan(settings, models, seeds="1", extra=["--valid_metric=NDCG@10"])) == 2


def test_a_folder_of_a_search_is_refused(settings, tmp_path):
    (tmp_path / "search.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds a search of tune; choose another --output"):
        save_plan(tmp_path, plan(settings), resume=False)


def test_nothing_to_resume(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no experiment to resume: it has no plan\.json"):
        save_plan(tmp_path, [], resume=True)
    (tmp_path / "plan.json").write_text("[{]")
    with pytest.raises(ConfigError, match=r"plan\.json is damaged"):
        load_plan(tmp_path)


def test_an_unwritable_output(settings, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be written .*; set --output to a folder"):
        save_plan(tmp_path / "file" / "x", plan(settings), resume=False)
