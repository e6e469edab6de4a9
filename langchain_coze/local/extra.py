"""How to install the packages that the local server needs, the extra `local`."""

_PACKAGES = "pip install starlette uvicorn bm25s python-multipart"
_FROM_CLONE = 'pip install ".[local]"'
MISSING_EXTRA = f"""\
Install the packages of the local server: {_PACKAGES}
(or in a clone of the repository: {_FROM_CLONE})
请安装本地服务需要的软件包：{_PACKAGES}
（在仓库的克隆目录中也可以运行：{_FROM_CLONE}）"""
