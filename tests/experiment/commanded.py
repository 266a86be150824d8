"""Runs a command's module as the script does, with keys that its models read."""

import argparse
import time

OF_TEXT = (
    "embedding_dir",
    "item_template",
    "embedding_size",
    "n_sampled",
    "n_centers",
    "alignment_warmup",
)


def for_any_model(keys):
    """Of ``--key=value`` arguments those that every model reads, RecBole's Pop included."""
    return [key for key in keys if key[2:].partition("=")[0] not in OF_TEXT]


def command(module, *arguments):
    """Run a command's module as the script does; returns its exit status."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    module.add_arguments(parser)
    args, args.keys = parser.parse_known_args([str(a) for a in arguments])
    return module.main(args)


def wait_until(condition, seconds=300):
    """Until ``condition()`` holds; a test that waits in vain fails rather than hangs."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(0.05)
