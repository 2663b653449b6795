"""What pyproject.toml cannot say: the wheel has the weights that saved/shipped.txt lists."""

from pathlib import Path

from setuptools import find_packages, setup

lines = Path("saved", "shipped.txt").read_text(encoding="utf-8").splitlines()
shipped = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
setup(
    packages=[*find_packages(include=["g_selfatt*"]), "g_selfatt.saved"],
    package_dir={"g_selfatt.saved": "saved"},
    package_data={
        "g_selfatt": ["py.typed"],
        "g_selfatt.saved": ["shipped.txt", *(f"{name}/weights.safetensors" for name in shipped)],
    },
)
