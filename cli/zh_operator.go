package cli

// inChineseForOperators is the dictionary of settings, passphrases and
// completion.
var inChineseForOperators = map[string]string{
	// Settings.
	"the configuration file, if not the usual one; `ward config path` names it": "配置文件，若不是默认的那个；`ward config path` 显示其位置",
	"which of the contexts in the configuration file":                           "使用配置文件中的哪个上下文",
	"settings that hold until you change them":                                  "长期有效的设置",
	`A flag on the command line counts first, then its WARD_ variable, then the
configuration file, then the default. In the file, what is under contexts.NAME
counts before what is at the top; a context is chosen by --context, WARD_CONTEXT,
or "context" in the file. Relative paths in it begin at the file's own folder.`: `命令行上的选项优先，其次是 WARD_ 变量，再次是配置文件，最后是默认值。文件中 contexts.NAME
下的设置优先于顶层的设置；上下文由 --context、WARD_CONTEXT 或文件中的 "context" 选定。
文件中的相对路径从文件所在的文件夹算起。`,
	"show the settings in force, and where they come from": "显示有效的设置及其来源",
	"[KEY]": "[设置]",
	`With a KEY it prints the value alone.

Examples:
  ward config get
  ward config get dir --context north`: `给出设置名时只打印它的值。

示例：
  ward config get
  ward config get dir --context north`,
	"Settings: %s":                 "设置：%s",
	"change a setting in the file": "修改文件中的一项设置",
	"KEY VALUE":                    "设置 值",
	`Changes one line and leaves the others as they are. With --context it is one for
that context, which is made if there is none. The key "context" chooses a context.

Examples:
  ward config set consortium /etc/ward/consortium.json
  ward config set dir /var/lib/ward --context north
  ward config set context north`: `只改一行，其余保持原样。带 --context 时设置属于该上下文，没有则新建。设置名 "context"
用来选定上下文。

示例：
  ward config set consortium /etc/ward/consortium.json
  ward config set dir /var/lib/ward --context north
  ward config set context north`,
	"remove a setting from the file": "从文件中删除一项设置",
	"KEY":                            "设置",
	"print where the file is":        "打印文件的位置",
	"check the file":                 "检查文件",
	`Reads the whole file as every command does, all contexts included.

Examples:
  ward config validate
  ward config validate --config /etc/ward/config.toml`: `像每个命令那样读取整个文件，包括所有上下文。

示例：
  ward config validate
  ward config validate --config /etc/ward/config.toml`,
	"SETTING":                               "设置",
	"FROM":                                  "来源",
	"variable":                              "环境变量",
	"context %s":                            "上下文 %s",
	"file":                                  "文件",
	"contexts: %s":                          "上下文：%s",
	"configuration file: %s":                "配置文件：%s",
	"no configuration file; it would be %s": "没有配置文件；它应在 %s",
	"there is no configuration file %s":     "没有配置文件 %s",
	"`ward config set KEY VALUE` makes one": "`ward config set KEY VALUE` 会新建一个",
	"%s is not set":                         "%s 没有设置",
	"%s is in order":                        "%s 无误",
	"which setting, and which value?":       "哪项设置，什么值？",
	"`ward config set KEY VALUE`":           "`ward config set KEY VALUE`：给出设置名和值",
	"which setting?":                        "哪项设置？",
	"`ward config unset KEY`":               "`ward config unset KEY`：给出设置名",
	"%s does not take %q":                   "%s 不接受 %q",
	"unknown setting %s":                    "未知设置 %s",
	"`ward config get --help` lists the settings":                         "`ward config get --help` 列出全部设置",
	"`ward config get` lists what there is":                               "`ward config get` 列出现有的设置",
	"configuration file %s: unknown setting %s":                           "配置文件 %s：未知设置 %s",
	"configuration file %s: %s":                                           "配置文件 %s：%s",
	"configuration file %s: %s: %s":                                       "配置文件 %s：%s：%s",
	"configuration file %s, line %d: %s":                                  "配置文件 %s，第 %d 行：%s",
	"the configuration file has no context %q":                            "配置文件中没有上下文 %q",
	"`ward config set KEY VALUE --context %s` makes it":                   "`ward config set KEY VALUE --context %s` 会新建它",
	"the configuration file is not changed: %s":                           "配置文件没有改动：%s",
	"edit %s by hand":                                                     "请手工编辑 %s",
	"others may change the configuration file %s":                         "其他用户可以修改配置文件 %s",
	"chmod go-w %s":                                                       "请执行 chmod go-w %s",
	"there is no place for a configuration file":                          "没有存放配置文件的位置",
	"--config names one":                                                  "请用 --config 指定",
	"a context is named with lower-case letters, digits, - and _: not %q": "上下文名称只能用小写字母、数字、- 和 _，不能是 %q",

	// Passphrases and confirmations.
	"read the passphrase from the first line of this file, which is yours alone (mode 0600)": "从该文件的第一行读取口令；文件只能由您本人访问（权限 0600）",
	"read the passphrase from this file descriptor":                                          "从该文件描述符读取口令",
	"run this in a shell and take the first line that it prints":                             "在 shell 中执行该命令，取其输出的第一行",
	"Passphrase: ":     "口令：",
	"New passphrase: ": "新口令：",
	"Once more: ":      "再输一次：",
	"two places for one passphrase: --%s and --%s":                                        "一个口令有两个来源：--%s 和 --%s",
	"the passphrase is too short: %d characters at least":                                 "口令太短：至少 %d 个字符",
	"the two passphrases differ":                                                          "两次输入的口令不同",
	"no passphrase was typed":                                                             "没有输入口令",
	"no passphrase came from --%s":                                                        "--%s 没有给出口令",
	"no passphrase, and no terminal to ask for it":                                        "没有口令，也没有终端可以询问",
	"--passphrase-file, --passphrase-fd or --passphrase-command says where it comes from": "请用 --passphrase-file、--passphrase-fd 或 --passphrase-command 说明来源",
	"others may read or replace the passphrase file %s":                                   "其他用户可以读取或替换口令文件 %s",
	"chmod 600 %s": "请执行 chmod 600 %s",
	"do not ask":   "不询问",
	" [y/N] ":      "（y/N）",
	"nobody is at a terminal to confirm this": "没有终端可供确认",
	"--yes confirms it":                       "用 --yes 确认",
	"nothing was done":                        "什么也没有做",

	// Completion.
	"print a script that completes commands and flags in your shell": "打印用于补全命令和选项的 shell 脚本",
	`Examples:
  source <(ward completion bash)                                    now; in ~/.bashrc: always
  ward completion zsh > "${fpath[1]}/_ward"
  ward completion fish > ~/.config/fish/completions/ward.fish`: `示例：
  source <(ward completion bash)                                    立即生效；写入 ~/.bashrc 则长期有效
  ward completion zsh > "${fpath[1]}/_ward"
  ward completion fish > ~/.config/fish/completions/ward.fish`,
	"which shell?":             "哪种 shell？",
	"choose bash, zsh or fish": "请选 bash、zsh 或 fish",

	// Errors.
	"there is no node in this directory":                      "该目录中没有节点",
	"`ward node init` makes one":                              "`ward node init` 会新建一个",
	"another process has the directory open":                  "另一个进程正在使用该目录",
	"is the node running already? `ward node status` asks it": "节点是否已在运行？`ward node status` 可以查询",
}
