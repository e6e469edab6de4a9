"""Hints for OAuth apps in English and Chinese, to proof-read in one place.

Each text has one line for each language. Braces are placeholders: see `_hints.py`.
"""

OAUTH_APP = """\
Hint: Check that client_id is the app's id, that public_key_id is the fingerprint of the public key that belongs to this private_key, and the site: an app of coze.cn works only with base_url='https://api.coze.cn', one of coze.com only with 'https://api.coze.com'.
提示：请检查 client_id 是否为应用 ID、public_key_id 是否为与该 private_key 对应的公钥指纹，以及所属站点：coze.cn 的应用只能配合 base_url='https://api.coze.cn'，coze.com 的只能配合 'https://api.coze.com'。"""
OAUTH_REQUEST = """\
Hint: Check duration_seconds, scope, session_context, account_id and enterprise_id.
提示：请检查 duration_seconds、scope、session_context、account_id 和 enterprise_id。"""
OAUTH_DISABLED = """\
Hint: Enable the OAuth app in Coze and authorize it for the workspace.
提示：请在扣子中启用该 OAuth 应用，并为工作空间授权。"""
NO_OAUTH = """\
Hint: This server has no OAuth: self-hosted Coze Studio accepts personal access tokens only. For coze.cn and coze.com check base_url and account_id.
提示：该服务没有 OAuth：自建的 Coze Studio 只支持个人访问令牌。如果您要连接的是 coze.cn 或 coze.com，请检查 base_url 和 account_id。"""
CLOCK_AHEAD = """\
Hint: Set this computer's clock (NTP): it is {seconds} s ahead of Coze's, and a JWT is valid only for a short time.
提示：本机时钟比扣子快 {seconds} 秒，请先校准（NTP）：JWT 的有效时间很短。"""
CLOCK_BEHIND = """\
Hint: Set this computer's clock (NTP): it is {seconds} s behind Coze's, and a JWT is valid only for a short time.
提示：本机时钟比扣子慢 {seconds} 秒，请先校准（NTP）：JWT 的有效时间很短。"""
OAUTH_SETUP = """\
Hint: Set COZE_JWT_OAUTH_CLIENT_ID, COZE_JWT_OAUTH_PRIVATE_KEY (or …_PRIVATE_KEY_FILE_PATH) and COZE_JWT_OAUTH_PUBLIC_KEY_ID, or pass client_id=, private_key= and public_key_id=.
提示：请设置环境变量 COZE_JWT_OAUTH_CLIENT_ID、COZE_JWT_OAUTH_PRIVATE_KEY（或 …_PRIVATE_KEY_FILE_PATH）和 COZE_JWT_OAUTH_PUBLIC_KEY_ID，或传入 client_id=、private_key= 和 public_key_id=。"""
PRIVATE_KEY = """\
Hint: Pass the text of the private_key.pem that Coze let you download when the key was created, or a pathlib.Path to that file.
提示：private_key 应为创建密钥时扣子提供下载的 private_key.pem 的内容，或指向该文件的 pathlib.Path。"""
ACCOUNT_OR_ENTERPRISE = """\
Pass account_id or enterprise_id, not both.
account_id 与 enterprise_id 只能二选一。"""
OAUTH_EXTRA = """\
CozeJWTAuth needs {package}, which is missing. Run: pip install "PyJWT[crypto]", or in a clone of the repository: pip install ".[oauth]".
CozeJWTAuth 缺少 {package}，请运行：pip install "PyJWT[crypto]"；在仓库的克隆目录中也可以运行：pip install ".[oauth]"。"""
