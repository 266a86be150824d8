"""Runs a command's module as the script does."""

import argparse


def command(module, *arguments):
    """Run a command's module as the script does; returns its exit status."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    module.add_arguments(parser)
    args, args.keys = parser.parse_known_args([str(a) for a in arguments])
    return module.main(args)
