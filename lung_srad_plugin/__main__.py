"""``python -m lung_srad_plugin`` is ``lung-srad``, where the folder of scripts is not on the PATH."""

from lung_srad_plugin.cli.main import main

if __name__ == "__main__":
    main()
