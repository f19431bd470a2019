"""Install with ``pip install .``; ``pip install ".[test]"`` adds what the tests need."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
about = {}
exec((ROOT / "lung_srad_plugin" / "version.py").read_text(encoding="utf-8"), about)

setup(
    name="lung-srad",
    version=about["__version__"],
    description="Lung-SRAD: lung sounds classified with an audio state-space model, as a SpeechBrain plugin",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.15",
    # The experiments and grids lie at the top of the repository, and in the package where it is installed.
    packages=[*find_packages(include=["lung_srad_plugin", "lung_srad_plugin.*"]), "lung_srad_plugin.hparams"],
    package_dir={"lung_srad_plugin.hparams": "hparams"},
    package_data={
        "lung_srad_plugin.hparams": ["*.yaml"],
        "lung_srad_plugin": [
            "LICENSE.txt",
            "py.typed",
            "__init__.pyi",
            "datasets/icbhi/*.txt",
            "reporting/templates/*.jinja",
            "export/templates/*.jinja",
            "serving/static/*",
            "browser/static/*",
            "inference/starter/*",
            "inference/starter/.lung-srad-files",
        ],
    },
    install_requires=[
        # Tried by tests/torch_pairs.py. Not every torch loads every torchaudio: where an environment has one
        # already, lung_srad_plugin.utils.torch_pair checks the two.
        "torch>=2.7.1,<2.16",
        "torchaudio>=2.7.1,<2.12",
        "speechbrain>=1.1.2,<1.2",
        "hyperpyyaml",
        "sentencepiece",
        "pydantic>=2",
        "lazy-loader>=0.4",
        "huggingface_hub",
        "filelock",
        "packaging",
        "numpy",
        "numba>=0.61",
        "soundfile",
        "safetensors",
        "scikit-learn",
        "threadpoolctl",
        "scipy",
        "matplotlib",
        "jinja2",
        "rich",
        "typer",
    ],
    extras_require={
        "cuda": ["mamba-ssm", "causal-conv1d"],
        # Export to ONNX, and running what was exported.
        "onnx": ["onnx", "onnxscript", "onnxruntime"],
        # The Audio Spectrogram Transformer: hparams/ast.yaml.
        "transformers": ["transformers>=5.20.2,<6"],
        # LoRA adapters on a frozen encoder.
        "lora": ["peft"],
        # Benchmarks compare with Hugging Face's Audio Spectrogram Transformer, and with scikit-learn's random forest.
        "bench": ["transformers>=5.20.2,<6", "scikit-learn"],
        # Praat TextGrids, and recordings that libsndfile does not read.
        "formats": ["av>=14", "praatio>=6,<7"],
        # A microphone for lung-srad listen; a pipe needs nothing.
        "listen": ["sounddevice"],
        # Maps of where a decision comes from, by integrated gradients and occlusion.
        "explain": ["captum"],
        # classify --output all.parquet.
        "parquet": ["pyarrow"],
        # An archive on one machine or many: `lung-srad screen`.
        "screen": ["ray[data]>=2.60,<3", "pyarrow"],
        # The notebooks of docs/notebooks: to run them, and to draw in them.
        "notebooks": ["ipykernel", "matplotlib"],
        # The page and the HTTP API of `lung-srad serve`.
        "serve": [
            "gradio>=6,<7",
            "fastapi>=0.115",
            "fastapi-offline",
            "uvicorn",
            "python-multipart",
            # Recordings of browsers and phones, and results for Praat.
            "av>=14",
            "praatio>=6,<7",
        ],
        # The documentation, by `make docs`.
        "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.5", "mkdocstrings[python]>=1"],
        "test": [
            "build",
            "pyyaml",
            # Notebooks run by the tests.
            "ipykernel",
            "nbclient",
            "nbformat",
            "setuptools>=77",
            "twine",
            "pytest",
            "pytest-xdist",
            "hypothesis",
            "ruff",
            "import-linter",
            "mypy",
            "captum",
            "av>=14",
            "praatio>=6,<7",
            "crowsetta>=5,<6",
            "torchmetrics",
            "pandas",
            "peft",
            "pyarrow",
            "ray[data]>=2.60,<3; sys_platform != 'win32'",
            "onnx",
            "onnxscript",
            "onnxruntime",
            "transformers>=5.20.2,<6",
            "gradio>=6,<7",
            "fastapi>=0.115",
            "fastapi-offline",
            "uvicorn",
            "python-multipart",
            "httpx",
            "selenium",
            # Triton up to 3.6 runs its kernels on a CPU, in its interpreter, only with numpy below 2.4.
            "numpy<2.4",
        ],
    },
    entry_points={"console_scripts": ["lung-srad=lung_srad_plugin.cli.main:main"]},
)
