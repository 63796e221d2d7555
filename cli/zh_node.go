package cli

// inChineseForNodes is the dictionary of nodes, consortiums and the doctor.
var inChineseForNodes = map[string]string{
	// Nodes.
	"your hospital's node": "本院的节点",
	"make the directory of a new node, with its keys and its card": "新建节点目录，生成密钥和名片",
	`The card says who you are and where your node is; send it to whoever gathers the
cards, and read its fingerprint to him over the telephone. The keys are encrypted
with the passphrase, without which the node cannot start: keep a copy in a safe.

Examples:
  ward node init --dir /var/lib/ward --name north --url https://ward.north.example:7100
  ward node init --dir ./north --name north --url https://127.0.0.1:7101 --peer 127.0.0.1:7201`: `名片说明您是谁、节点在哪里；请把它发给收集名片的人，并在电话中念出指纹。密钥用口令加密，
没有口令节点无法启动：请在保险柜中留一份。

示例：
  ward node init --dir /var/lib/ward --name north --url https://ward.north.example:7100
  ward node init --dir ./north --name north --url https://127.0.0.1:7101 --peer 127.0.0.1:7201`,
	"the node's directory": "节点目录",
	"the hospital's name in the consortium: lower case, short":                                  "医院在联盟中的名称：小写，简短",
	"https address at which clients will reach the node":                                        "客户端访问节点的 https 地址",
	"host:port at which the other nodes will reach it; port 7200 of the same host if not given": "其他节点访问它的 主机:端口；缺省为同一主机的 7200 端口",
	"this is no card: %s":           "不能做成名片：%s",
	"there is a node in %s already": "%s 中已有节点",
	"its card is %s":                "它的名片是 %s",
	"card: %s":                      "名片：%s",
	"fingerprint: %s":               "指纹：%s",
	"Send the card to whoever makes the consortium file, and read him the fingerprint.": "请把名片发给制作联盟文件的人，并念出指纹。",
	"run the node until it is told to stop":                                             "运行节点，直到要求停止",
	`The first time it needs the founding consortium file, and keeps a copy. A hospital
that joins later needs the founding file and the newest one. It logs on stderr,
without the name of a person or a word of a record. Without a passphrase, and with
nobody at a terminal, it starts sealed and waits for ward node unlock.

Ctrl-C or SIGTERM ends it in order: requests under way are answered, leadership is
handed over, and the exit code is 0.

Examples:
  ward node run --dir /var/lib/ward --consortium consortium.json
  ward node run --dir /var/lib/ward --passphrase-command 'cat /run/credentials/ward/passphrase'
  ward node run --dir ./west --founding founding.json --consortium consortium.json`: `第一次运行需要创始联盟文件，并保留一份副本。后来加入的医院需要创始文件和最新的文件。日志写到
标准错误，不含人名和病历内容。没有口令、也没有人在终端时，节点以封存状态启动，等待
ward node unlock。

Ctrl-C 或 SIGTERM 使它有序停止：答复进行中的请求，移交领导权，退出码为 0。

示例：
  ward node run --dir /var/lib/ward --consortium consortium.json
  ward node run --dir /var/lib/ward --passphrase-command 'cat /run/credentials/ward/passphrase'
  ward node run --dir ./west --founding founding.json --consortium consortium.json`,
	"the founding consortium file, where --consortium is a later one":                                    "创始联盟文件，当 --consortium 是后来的文件时",
	"host:port to serve clients at; as on the card if not given":                                         "为客户端服务的 主机:端口；缺省同名片",
	"host:port to serve the other nodes at; as on the card if not given":                                 "为其他节点服务的 主机:端口；缺省同名片",
	"where payloads are kept, as fs:DIR, s3:URL or ipfs:URL; blobs in the node's directory if not given": "载荷的存放位置：fs:目录、s3:URL 或 ipfs:URL；缺省为节点目录中的 blobs",
	"wait for ward node unlock, whatever else is set":                                                    "无论其他设置如何，都等待 ward node unlock",
	"memory to keep to, as 448MiB or 1GiB; softly; off for any; GOMEMLIMIT counts if only that is set":   "力求不超过的内存，如 448MiB 或 1GiB，并非硬性上限；off 表示不限；只设了 GOMEMLIMIT 时以它为准",
	"give a size such as 448MiB or 1GiB, or off":                                                         "请给出大小，如 448MiB 或 1GiB，或 off",
	"network that may read /metrics, such as 10.0.0.0/8; this machine only if not given":                 "可以读取 /metrics 的网络，如 10.0.0.0/8；缺省仅限本机",
	"debug, info, warn or error":                                                                         "debug、info、warn 或 error",
	"text or json":                                                                                       "text 或 json",
	"choose text or json":                                                                                "请选 text 或 json",
	"choose debug, info, warn or error":                                                                  "请选 debug、info、warn 或 error",
	"the founding consortium file is missing":                                                            "缺少创始联盟文件",
	"--consortium or --founding names it; `ward consortium create` makes it":                             "用 --consortium 或 --founding 指定；`ward consortium create` 可以制作",
	"the consortium files are not of one consortium":                                                     "这些联盟文件不属于同一个联盟",
	"this node was founded with %s":                                                                      "本节点创始时用的是 %s",
	"the consortium file does not list %s":                                                               "联盟文件中没有 %s",
	"the other hospitals take it in with `ward consortium join`":                                         "其他医院用 `ward consortium join` 接纳它",
	"cannot listen at %s: %s":                                                                            "无法在 %s 监听：%s",
	"--listen names another address of this machine":                                                     "用 --listen 指定本机的另一个地址",
	"say how the node of this machine is doing":                                                          "查看本机节点的状况",
	`Exits 0 if the node is as far as --for says, and 10 if it is not.

Examples:
  ward node status --dir /var/lib/ward
  ward node status --dir /var/lib/ward --wait 1m --for joined`: `节点达到 --for 所说的程度时退出码为 0，否则为 10。

示例：
  ward node status --dir /var/lib/ward
  ward node status --dir /var/lib/ward --wait 1m --for joined`,
	"wait this long for it": "最多等待这么久",
	"running, joined (agrees with the others), or ready (has its keys, and serves)":     "running（运行）、joined（与其他节点一致）或 ready（有密钥并提供服务）",
	"choose running, joined or ready":                                                   "请选 running、joined 或 ready",
	"give the passphrase to a node that started sealed":                                 "向封存启动的节点提供口令",
	"Examples:\n  ward node unlock --dir /var/lib/ward":                                 "示例：\n  ward node unlock --dir /var/lib/ward",
	"end the node in order: requests under way are answered, leadership is handed over": "有序停止节点：答复进行中的请求，移交领导权",
	"change what the running node logs: debug, info, warn or error":                     "调整运行中节点的日志级别：debug、info、warn 或 error",
	"LEVEL":        "级别",
	"which level?": "哪个级别？",
	"which node?":  "哪个节点？",
	"--dir, WARD_DIR or dir in the configuration file names its directory": "用 --dir、WARD_DIR 或配置文件中的 dir 指定节点目录",
	"no node runs in %s":                                           "%s 中没有节点在运行",
	"`ward node run --dir %s` starts it":                           "`ward node run --dir %s` 启动它",
	"the node is sealed":                                           "节点处于封存状态",
	"`ward node unlock --dir %s` opens it":                         "`ward node unlock --dir %s` 解封它",
	"a key ceremony waits for your word":                           "一次密钥仪式正等待您的决定",
	"`ward consortium accept --dir %s` shows it":                   "`ward consortium accept --dir %s` 显示它",
	"`ward consortium refresh --dir %s` proposes the key ceremony": "`ward consortium refresh --dir %s` 发起密钥仪式",
	"`ward doctor --dir %s` says which":                            "`ward doctor --dir %s` 指出是哪些",
	"the node's disk is nearly full":                               "节点的磁盘快满了",
	"make room; the node goes on by itself":                        "请腾出空间；节点会自行继续",
	"the node stopped itself: %s":                                  "节点自行停止：%s",
	"keep its directory and tell the consortium":                   "请保留其目录，并通知联盟",
	"the node is catching up":                                      "节点正在追赶",
	"wait with --wait 1m":                                          "可用 --wait 1m 等待",
	"sealed":                                                       "封存",
	"catching up":                                                  "正在追赶",
	"alone: too few hospitals are reachable":                       "孤立：可达的医院不够",
	"joined; the hospitals have no key yet":                        "已加入；各医院还没有共同密钥",
	"ready":                                                        "就绪",
	"read-only: the disk is nearly full":                           "只读：磁盘快满了",
	"stopped itself":                                               "已自行停止",
	"hospital":                                                     "医院",
	"chain":                                                        "链",
	"consortium file %d, %d members":                               "联盟文件 %d，%d 个成员",
	"state":                                                        "状态",
	"process":                                                      "进程",
	"since %s":                                                     "自 %s",
	"leader":                                                       "领导者",
	"blocks":                                                       "区块",
	"%d, %d of them certified; %d transactions":                    "%d 个，其中 %d 个已认证；%d 笔交易",
	"keys":                                "密钥",
	"none":                                "无",
	"generation %d, any %d of %d holders": "第 %d 代，任意 %d 家（共 %d 家持有）",
	"shares of grants":                    "授权份额",
	"payloads":                            "载荷",
	"%d, %d bytes":                        "%d 个，%d 字节",
	"Key ceremony %d waits for your word: `ward consortium accept`": "第 %d 次密钥仪式等待您的决定：`ward consortium accept`",
	"the node is open already":                                      "节点已经解封",
	"the node is open":                                              "节点已解封",
	"the node has stopped":                                          "节点已停止",
	"the node logs from %s on":                                      "节点从 %s 级起记录日志",

	// Consortiums.
	"the hospitals that run the chain together":                   "共同运行链的各医院",
	"make the founding consortium file from the hospitals' cards": "用各医院的名片制作创始联盟文件",
	"CARD...": "名片...",
	"CARD":    "名片",
	`Before you send the file to all of them, let each read his fingerprint to you over
the telephone, and compare it with what is shown here.

Examples:
  ward consortium create --chain care.example north.json east.json south.json west.json`: `把文件发给各医院之前，请让每一家在电话中念出自己的指纹，并与这里显示的比对。

示例：
  ward consortium create --chain care.example north.json east.json south.json west.json`,
	"name of the chain, like a domain; never used for another one":                  "链的名称，形如域名；不可再用于别的链",
	"write the file here; nothing is overwritten":                                   "把文件写到这里；不覆盖任何文件",
	"how many hospitals open something together; more than half if not given":       "多少家医院合力才能打开；缺省为过半数",
	"wait this long until the ceremony is done":                                     "最多等待这么久，直到仪式完成",
	"show it and do nothing":                                                        "只显示，不执行",
	"show a consortium file, or what is in force and what is proposed at your node": "显示一个联盟文件，或本节点现行的文件和提议",
	"[FILE]": "[文件]",
	"Every hospital must see the same hash: compare it over the telephone.\n\nExamples:\n  ward consortium show consortium.json\n  ward consortium show --dir /var/lib/ward\n  ward consortium show --dir /var/lib/ward --out newest.json": "每家医院看到的哈希必须相同：请在电话中比对。\n\n示例：\n  ward consortium show consortium.json\n  ward consortium show --dir /var/lib/ward\n  ward consortium show --dir /var/lib/ward --out newest.json",
	"agree that another hospital comes in": "同意接纳另一家医院",
	`Every hospital's operator runs this with the same card, after he compared the
fingerprint with the new hospital over the telephone. It takes effect when enough
of them have. Then the new one starts its node, and a key ceremony gives it shares:
ward consortium refresh.

Examples:
  ward consortium join --dir /var/lib/ward center.json`: `各医院的操作员在电话中与新医院核对指纹之后，用同一张名片执行本命令。足够多的医院执行后即生效。
然后新医院启动节点，并通过一次密钥仪式获得份额：ward consortium refresh。

示例：
  ward consortium join --dir /var/lib/ward center.json`,
	"agree that a hospital leaves": "同意一家医院退出",
	`Takes effect when the operators of enough hospitals ran it. Until the next key
ceremony the one that left still holds shares, which are of no use afterwards:
ward consortium refresh.

Examples:
  ward consortium remove --dir /var/lib/ward west`: `足够多医院的操作员执行后即生效。在下一次密钥仪式之前，退出的医院仍持有份额；仪式之后这些份额
不再有用：ward consortium refresh。

示例：
  ward consortium remove --dir /var/lib/ward west`,
	"propose a key ceremony: the first makes the keys, later ones renew all shares": "发起密钥仪式：第一次生成密钥，以后更新全部份额",
	`The first ceremony needs every hospital. A later one moves keys and grants to the
hospitals that there are, with fresh shares, and makes old ones worthless. Each
operator accepts it for his node with ward consortium accept; you have with this.

Examples:
  ward consortium refresh --dir /var/lib/ward
  ward consortium refresh --dir /var/lib/ward --within 24h --wait 24h`: `第一次仪式需要每一家医院。以后的仪式用新的份额把密钥和授权交给现有的医院，旧份额随之作废。
每位操作员用 ward consortium accept 为自己的节点接受；执行本命令即表示您已接受。

示例：
  ward consortium refresh --dir /var/lib/ward
  ward consortium refresh --dir /var/lib/ward --within 24h --wait 24h`,
	"how long the others may take to accept, and each node for its part": "其他医院接受的时限，也是每个节点完成各步的时限",
	"how long nodes may complain of bad shares; always waited for":       "节点投诉错误份额的时间；总是等满",
	"look at the proposed key ceremony, and let your node take part":     "查看提议的密钥仪式，并让本节点参加",
	"[HASH]": "[哈希]",
	`With a HASH, or its first eight digits, it accepts that ceremony and no other.

Examples:
  ward consortium accept --dir /var/lib/ward
  ward consortium accept --dir /var/lib/ward 5d0b8c1e --yes`: `给出哈希或其前八位时，只接受该次仪式。

示例：
  ward consortium accept --dir /var/lib/ward
  ward consortium accept --dir /var/lib/ward 5d0b8c1e --yes`,
	"ADDRESS":     "地址",
	"FINGERPRINT": "指纹",
	"chain %s, file %d: any %d of %d open something together, %d sign what is final": "链 %s，文件 %d：任意 %d 家（共 %d 家）合力才能打开，%d 家签名才算定案",
	"hash: %s":     "哈希：%s",
	"which cards?": "哪些名片？",
	"which card?":  "哪张名片？",
	"`ward node init` makes a hospital's card": "`ward node init` 制作医院的名片",
	"%s exists":                    "%s 已存在",
	"--out names another file":     "用 --out 指定另一个文件",
	"these make no consortium: %s": "不能组成联盟：%s",
	"%s is for all of them: each starts its node with it.":     "%s 交给所有医院：每家用它启动节点。",
	"%s is a member with another card":                         "%s 是成员，但名片不同",
	"%s comes in, at %s":                                       "%s 加入，地址 %s",
	"%s leaves":                                                "%s 退出",
	"which hospital?":                                          "哪家医院？",
	"`ward consortium show` lists them":                        "`ward consortium show` 列出它们",
	"it is so already":                                         "已经如此",
	"Do you agree in the name of your hospital?":               "您是否代表本院同意？",
	"it is in force; `ward consortium refresh` moves the keys": "已经生效；`ward consortium refresh` 转移密钥",
	"agreed here; it takes effect when %d hospitals have agreed to file %s": "本院已同意；%d 家医院同意文件 %s 后生效",

	// Ceremonies.
	"a phase of a ceremony takes from a second to a week":                                "仪式的每一步从一秒到一周",
	"a ceremony is under way":                                                            "一次仪式正在进行",
	"`ward consortium accept --dir %s` takes part in it":                                 "`ward consortium accept --dir %s` 参加它",
	"Propose a key ceremony to all hospitals?":                                           "向所有医院发起密钥仪式？",
	"Your node takes part. Each of the others accepts with: ward consortium accept %.8s": "本节点参加。其他医院各自接受：ward consortium accept %.8s",
	"no key ceremony is proposed":                                                        "没有提议的密钥仪式",
	"`ward consortium refresh --dir %s` proposes one":                                    "`ward consortium refresh --dir %s` 发起一次",
	"this is not the ceremony %s":                                                        "这不是仪式 %s",
	"ask whoever proposed it for its hash":                                               "请向发起人询问其哈希",
	"the newest ceremony is over":                                                        "最近一次仪式已经结束",
	"Let your node take part?":                                                           "让本节点参加？",
	"your node takes part":                                                               "本节点参加",
	"your node has no part in it":                                                        "与本节点无关",
	"your node waits for your word":                                                      "本节点等待您的决定",
	"being prepared":                                                                     "准备中",
	"under way":                                                                          "进行中",
	"done; late hospitals may still confirm":                                             "已完成；迟到的医院仍可确认",
	"done":                                                                               "已完成",
	"given up":                                                                           "已放弃",
	"makes the hospitals' first keys":                                                    "生成各医院的第一把共同密钥",
	"moves the keys, and %d grants, with fresh shares":                                   "用新的份额转移密钥和 %d 项授权",
	"grants are handed over in parts":                                                    "正在分批移交授权",
	"part %d: moves %d grants with fresh shares; %d have moved before, the keys come last": "第 %d 批：用新的份额转移 %d 项授权；此前已转移 %d 项，密钥最后转移",
	"ceremony":                        "仪式",
	"purpose":                         "目的",
	"who will hold shares":            "份额持有者",
	"to open something":               "打开所需",
	"to sign what is final":           "定案所需",
	"any %d of %d":                    "任意 %d 家（共 %d 家）",
	"times":                           "时限",
	"accept within %s, complaints %s": "%s 内接受，投诉 %s",
	"hash":                            "哈希",
	"here":                            "本节点",
	"the ceremony was given up":       "仪式已被放弃",
	"the node's log says who was silent; propose another one": "节点日志指出谁没有回应；请重新发起",
	"the ceremony is done":                      "仪式已完成",
	"the ceremony is not done yet":              "仪式尚未完成",
	"`ward consortium show` says how far it is": "`ward consortium show` 显示进展",

	// The doctor.
	"find what is wrong with a node or its consortium, and say what helps": "查找节点或联盟的问题，并给出解决办法",
	`With --dir it looks at the node of this machine: permissions, disk, keys, process.
It asks every hospital's node whether it is reachable, ready, and what time it is
there, and says how many more may fail. It changes nothing, except that it writes a
small payload to a store given with --store, and erases it.

Exits 0 if nothing is wrong, warnings included, and 1 otherwise.

Examples:
  ward doctor --dir /var/lib/ward
  ward doctor --consortium consortium.json
  ward doctor --dir /var/lib/ward --store s3:https://s3.example.org/bucket/prefix`: `给出 --dir 时检查本机节点：权限、磁盘、密钥、进程。它询问每家医院的节点是否可达、是否就绪、
时钟几点，并说明还能承受几家故障。它不改动任何东西，只在 --store 给出的存储中写入一个小载荷
再删除。

没有问题（包括只有警告）时退出码为 0，否则为 1。

示例：
  ward doctor --dir /var/lib/ward
  ward doctor --consortium consortium.json
  ward doctor --dir /var/lib/ward --store s3:https://s3.example.org/bucket/prefix`,
	"also write to this store, read and erase": "同时在该存储中写入、读取并删除",
	"warning":                    "警告",
	"problem":                    "问题",
	"problems: %d, warnings: %d": "问题：%d，警告：%d",
	"no consortium file: the other hospitals are not known":                      "没有联盟文件：不知道其他医院",
	"--consortium names it":                                                      "用 --consortium 指定",
	"there is no node in %s":                                                     "%s 中没有节点",
	"run this as the user of the node":                                           "请以节点的用户身份运行",
	"others may open %s":                                                         "其他用户可以打开 %s",
	"chmod -R go-rwx %s":                                                         "请执行 chmod -R go-rwx %s",
	"what is secret is yours alone":                                              "机密只有您能访问",
	"%d MB free":                                                                 "剩余 %d MB",
	"make room: the node writes nothing below 256 MB":                            "请腾出空间：低于 256 MB 时节点不再写入",
	"make room: below 256 MB the node is read-only":                              "请腾出空间：低于 256 MB 时节点变为只读",
	"the consortium file lists another key for %s":                               "联盟文件中 %s 的密钥不同",
	"this directory is not that of the member: restore the right one":            "该目录不是该成员的：请恢复正确的目录",
	"%d of %d hospitals hold shares of the keys; %d are needed":                  "%d / %d 家医院持有密钥份额；需要 %d 家",
	"`ward consortium refresh` gives everybody a share":                          "`ward consortium refresh` 让每家都有份额",
	"this node has no share of the keys":                                         "本节点没有密钥份额",
	"%d of %d hospitals are reachable; %d are needed":                            "%d / %d 家医院可达；需要 %d 家",
	"nothing is written until more of them are back; nothing is lost":            "更多医院恢复之前无法写入；没有数据丢失",
	"one more that fails stops the chain: bring one back first":                  "再有一家故障链就会停止：请先恢复一家",
	"%d of %d hospitals answer with their shares; %d are needed":                 "%d / %d 家医院能用份额作答；需要 %d 家",
	"no record opens until more of them are back; nothing is lost":               "更多医院恢复之前无法打开病历；没有数据丢失",
	"one more that fails and no record opens: bring one back first":              "再有一家故障就无法打开病历：请先恢复一家",
	"another key answers at %s":                                                  "%s 以另一把密钥作答",
	"their node is sealed, or this is not their node: ask them on the telephone": "对方节点处于封存状态，或那不是对方的节点：请电话询问",
	"%s is not reachable: %s":                                                    "%s 不可达：%s",
	"is their node running, and does a firewall let you through?":                "对方节点在运行吗？防火墙放行了吗？",
	"%s is not reachable for other nodes: %s":                                    "其他节点无法到达 %s：%s",
	"open that port between the hospitals, too":                                  "请在医院之间也开放该端口",
	"the certificate expired on %s":                                              "证书已于 %s 过期",
	"the certificate expires on %s":                                              "证书将于 %s 过期",
	"renew it":                                                                   "请更新证书",
	"reachable, and not ready":                                                   "可达，但未就绪",
	"`ward node status` there says why":                                          "在对方处执行 `ward node status` 查看原因",
	"this clock and the others' differ by %s":                                    "本机时钟与其他医院相差 %s",
	"let the system's time service set it (chrony, systemd-timesyncd)":           "请用系统的时间服务校时（chrony、systemd-timesyncd）",
	"the clock of %s differs from the others' by %s":                             "%s 的时钟与其他医院相差 %s",
	"tell them": "请通知对方",
	"see docs/how-to/stores.md for what this kind of store needs": "这类存储的要求见 docs/how-to/stores.md",
	"%s: written, read and erased":                                "%s：已写入、读取并删除",
	"change the passphrase of a node that does not run":           "更改未在运行的节点的口令",
	"the node in %s has another passphrase now":                   "%s 中的节点已换用新口令",
	"Seals what is secret in the directory under another passphrase. Whoever has an old\ncopy of the directory and the old passphrase can still open the copy: if somebody may\nhave both, hold a key ceremony afterwards, ward consortium refresh.\n\nExamples:\n  ward node stop --dir /var/lib/ward && ward node passphrase --dir /var/lib/ward\n  ward node passphrase --dir ./north --passphrase-file old.pass --new-passphrase-file new.pass": "用另一个口令密封目录中的机密。持有目录旧副本和旧口令的人仍能打开该副本：若有人可能\n两者都有，请随后举行密钥仪式：ward consortium refresh。\n\n示例：\n  ward node stop --dir /var/lib/ward && ward node passphrase --dir /var/lib/ward\n  ward node passphrase --dir ./north --passphrase-file old.pass --new-passphrase-file new.pass",
	"a name is lower case and short, a url like https://ward.north.example:7100, a peer like ward.north.example:7200": "名称用小写且简短，url 形如 https://ward.north.example:7100，peer 形如 ward.north.example:7200",
	"`ward node stop --dir %s` ends it":                                              "`ward node stop --dir %s` 可将其停止",
	"write it like https://ward.north.example:7100":                                  "请写成 https://ward.north.example:7100 的形式",
	"the node is running":                                                            "节点正在运行",
	"read the new passphrase from the first line of this file; else it is asked for": "从该文件的第一行读取新口令；否则会询问",
}
