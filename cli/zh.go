package cli

// inChinese is the dictionary of the frame, of verifying and of the demo.
var inChinese = map[string]string{
	// The frame.
	"share medical records that the patient controls":                          "在患者掌控下共享病历",
	"print one JSON envelope on stdout instead of text":                        "在标准输出打印一个 JSON 信封，不打印文本",
	"language of messages, en or zh; else that of LC_ALL, LC_MESSAGES or LANG": "消息语言：en 或 zh；缺省取 LC_ALL、LC_MESSAGES 或 LANG",
	"no progress, and of results only what was asked for":                      "不显示进度，只输出所要的结果",
	"log what happens inside on stderr":                                        "在标准错误输出内部日志",
	"show help, also for a command":                                            "显示帮助，也可用于某个命令",
	"show the version":                                                         "显示版本",
	"show the version of this program":                                         "显示本程序的版本",
	", with changes":                                                           "（有改动）",
	"built from %s%s":                                                          "构建自 %s%s",
	"with %s for %s":                                                           "使用 %s，平台 %s",
	"Usage:":                                                                   "用法：",
	"Commands:":                                                                "命令：",
	"Flags:":                                                                   "选项：",
	"Flags of every command:":                                                  "通用选项：",
	"Exit codes:":                                                              "退出码：",
	"<command> [flags] [arguments]":                                            "<命令> [选项] [参数]",
	"[flags]":                                                                  "[选项]",
	"VALUE":                                                                    "值",
	" (default: %s)":                                                           "（默认：%s）",
	"ward: hint: %s":                                                           "ward: 提示：%s",
	"unknown command %q":                                                       "未知命令 %q",
	"did you mean `ward %s`?":                                                  "您是否想输入 `ward %s`？",
	"`ward --help` lists the commands":                                         "`ward --help` 列出全部命令",
	"unknown flag %s":                                                          "未知选项 %s",
	"did you mean %s?":                                                         "您是否想输入 %s？",
	"`ward %s` lists the flags":                                                "`ward %s` 列出全部选项",
	"flag %s needs a value":                                                    "选项 %s 需要一个值",
	"flag %s is on or off: %q is neither true nor false":                       "选项 %s 只能开或关：%q 既不是 true 也不是 false",
	"unexpected argument %q":                                                   "多余的参数 %q",
	"unknown language %q: choose en or zh":                                     "未知语言 %q：请选 en 或 zh",
	"%s what?":                                                                 "%s 什么？",
	"`ward %s` lists the commands":                                             "`ward %s` 列出全部命令",
	"no command given":                                                         "没有给出命令",
	"try `ward demo`":                                                          "试试 `ward demo`",
	"interrupted":                                                              "已中断",

	// Exit codes.
	"ok":                        "成功",
	"failure":                   "失败",
	"the command line is wrong": "命令行有误",
	"some of it was done":       "只完成了一部分",
	"not found":                 "未找到",
	"denied by policy":          "被策略拒绝",
	"grant expired or revoked":  "授权已过期或已撤销",
	"not enough shares":         "密钥份额不足",
	"integrity failure":         "完整性校验失败",
	"no quorum":                 "医院数未达法定数",
	"not initialised":           "尚未初始化",
	"wrong passphrase":          "口令错误",

	// Errors of the consortium.
	"the grant was revoked":                                              "授权已被撤销",
	"the grant has expired":                                              "授权已过期",
	"the grant was used as often as it allows":                           "授权的使用次数已用完",
	"ask the patient for a new one":                                      "请向患者申请新的授权",
	"ask the patient to renew it":                                        "请患者续期",
	"too few hospitals hold their shares of the grant yet":               "持有该授权份额的医院还不够",
	"try again in a moment":                                              "请稍后再试",
	"the shares of the grant were lost in a key ceremony":                "该授权的份额在一次密钥仪式中丢失",
	"ask the patient for a new grant":                                    "请向患者申请新的授权",
	"the hospitals are moving their keys":                                "各医院正在迁移密钥",
	"try again when the ceremony is done":                                "请在仪式结束后再试",
	"there is no such grant, request or access":                          "没有这样的授权、申请或访问",
	"there is no such record":                                            "没有这份病历",
	"the record was erased":                                              "该病历已被删除",
	"the grant does not cover records of this type":                      "授权不包括这类病历",
	"ask the patient for a grant on the type":                            "请向患者申请这类病历的授权",
	"the grant does not allow this purpose":                              "授权不允许这一用途",
	"the grant is another patient's":                                     "该授权属于另一位患者",
	"the grant is not for records of this time":                          "授权不适用于这一时期的病历",
	"the grant does not cover records of this date":                      "授权不包括这一日期的病历",
	"the grant does not hold yet":                                        "授权尚未生效",
	"a co-signer is missing, or one does not count":                      "缺少共同签名人，或其签名无效",
	"the patient holds the key: only a grant opens these records":        "密钥由患者自持：只有授权才能打开这些病历",
	"you may not do this":                                                "您无权这样做",
	"the access was reviewed already, or needs no review":                "该访问已经复核，或无需复核",
	"the hospitals have no key yet":                                      "各医院还没有共同密钥",
	"run the key ceremony first":                                         "请先进行密钥仪式",
	"there is no such patient":                                           "没有这位患者",
	"nobody is registered under this name":                               "没有以此名称登记的人",
	"the name or the key is in use":                                      "该名称或密钥已被使用",
	"do not use what came back; tell the consortium":                     "请勿使用返回的内容，并通知联盟",
	"the file is incomplete: export it again":                            "文件不完整：请重新导出",
	"too few hospitals answered":                                         "作出答复的医院不够",
	"it works again when one more of them is reachable; nothing is lost": "再有一家医院可达即可恢复，没有数据丢失",
	"too few hospitals are reachable":                                    "可达的医院不够",
	"it works again when enough of them are; nothing is lost":            "有足够的医院可达即可恢复，没有数据丢失",
	"check the address of the node and the network":                      "请检查节点地址和网络",
	"look at the node's log: its disk may be full":                       "请查看节点日志：磁盘可能已满",
	"nothing was changed; try again":                                     "没有任何改动，请重试",
	"look whether it happened before you repeat it":                      "重试前请先确认是否已经生效",
	"is this identity registered, and its key the one in force?":         "该身份是否已登记？其密钥是否现行有效？",
	"it took too long":                                                   "用时过长",

	"the hospitals keep too many payloads of yours that no record refers to": "各医院存有您过多未被任何病历引用的载荷",
	"what no record refers to is deleted in a day or two: try again then":    "未被病历引用的载荷会在一两天内删除：请届时再试",

	"no grant covers these records": "没有授权包括这些病历",
	"ask the patient for one":       "请向患者申请授权",
	"the node is catching up, or was set back: try again in a moment, then another one with --node": "该节点正在追赶，或被回退：请稍后再试，然后用 --node 换一个节点",

	// Verifying.
	"the chain is of another consortium":     "该链属于另一个联盟",
	"give the consortium file of this chain": "请给出该链的联盟文件",
	"the log of the consortium":              "联盟的日志",
	"check an exported chain, or a stopped node's own, offline: links, trees, signatures, certificates": "离线检查导出的链，或已停止节点自己的链：链接、哈希树、签名、证书",
	"FILE": "文件",
	`Reads an exported chain from a file, or from stdin if FILE is "-", and names the
first broken link if there is one. Needs nothing but the consortium file.

Without FILE it checks the chain in the directory of a node that does not run, and
what is stored beside it: the state, the indexes, the sidecars. It repairs nothing.

Examples:
  ward chain verify chain.export --consortium consortium.json
  ward chain verify --dir /var/lib/ward`: `从文件（"-" 表示标准输入）读取导出的链，若有断裂则指出第一处。只需要联盟文件。

不给文件时，检查未运行的节点目录中的链，以及存于其旁的状态、索引和附件。不做任何修复。

示例：
  ward chain verify chain.export --consortium consortium.json
  ward chain verify --dir /var/lib/ward`,
	"give an exported chain, or - for stdin; or with --dir the directory of a stopped node": "请给出导出的链，或用 - 表示标准输入；或用 --dir 指定已停止节点的目录",
	"`ward chain verify --dir %s` checks a stopped node's":                                  "`ward chain verify --dir %s` 检查已停止节点的链",
	"who did what, and whether it was right":                                                "谁做了什么，以及是否合规",
	"check an exported chain offline, and that every result follows from the rules":         "离线检查导出的链，并确认每个结果都符合规则",
	`Does what chain verify does, and runs every transaction again under the rules of
this version of Ward: so it finds a false result even if the members certified it
together.

Examples:
  ward audit verify chain.export --consortium consortium.json`: `在 chain verify 的基础上，按本版本 Ward 的规则重新执行每笔交易：即使成员们共同认证了
错误的结果也能发现。

示例：
  ward audit verify chain.export --consortium consortium.json`,
	"the consortium file that you trust":       "您所信任的联盟文件",
	"which file?":                              "哪个文件？",
	"give an exported chain, or - for stdin":   "请给出导出的链，或用 - 表示标准输入",
	"%s is a directory, and no exported chain": "%s 是目录，不是导出的链",
	"`ward chain export` makes the file":       "用 `ward chain export` 制作该文件",
	"WARD_CONSORTIUM names the file, too":      "也可用 WARD_CONSORTIUM 指定该文件",
	"checking":                                 "检查",
	"TRANSACTION":                              "交易",
	"DONE":                                     "成功",
	"REFUSED":                                  "拒绝",
	"chain %s: %d transactions in %d blocks until %s":         "链 %s：%d 笔交易，%d 个区块，截至 %s",
	"every signature, link, tree and certificate is in order": "每个签名、链接、哈希树和证书都无误",
	"every result follows from the rules":                     "每个结果都符合规则",
	"and every result follows from the rules;":                "每个结果都符合规则；",

	// The demo.
	"four hospitals, a patient, doctors and records, all on this machine": "在本机演示四家医院、一位患者、几位医生和病历",
	`Starts four hospitals on this machine, lets them make a key that none of them
holds, and plays how a patient's records are shared: put, granted, read, refused,
revoked, opened in an emergency, and audited. Needs no server and leaves nothing
behind.

Examples:
  ward demo
  ward demo --data ./charts           every file of a folder, compared byte by byte
  ward demo --keep ./demo --json      keep the hospitals' data; one envelope at the end`: `在本机启动四家医院，让它们共同生成一把谁都不单独持有的密钥，然后演示患者病历如何
共享：写入、授权、读取、拒绝、撤销、急救开启、审计。不需要服务器，也不留下任何东西。

示例：
  ward demo
  ward demo --data ./charts           放入文件夹中的每个文件，并逐字节比对
  ward demo --keep ./demo --json      保留各医院的数据；最后输出一个信封`,
	"put every file below this folder too, read it back and compare it": "同时放入该文件夹下的每个文件，读回并比对",
	"keep the hospitals' data in this new folder":                       "把各医院的数据保留在这个新文件夹里",
	"%s is no folder":        "%s 不是文件夹",
	"folder %s is not empty": "文件夹 %s 不是空的",
	"give a new one":         "请给出一个新文件夹",

	"Four hospitals start, and make a key that none of them holds":                          "四家医院启动，共同生成一把谁都不单独持有的密钥",
	"%s: each a node of its own with its own disk and its share of the key":                 "%s：各有自己的节点、磁盘和一份密钥份额",
	"any %d of %d open something together, %d sign what is final; one alone can do neither": "任意 %d 家（共 %d 家）合力才能打开，%d 家签名才算定案；单独一家都做不到",
	"An emergency: two clinicians break the glass, and answer for it":                       "急救：两位医务人员破窗开启，并为此负责",
	"breaks the glass alone":                                                            "独自破窗",
	"%s opened: %s; co-signed by %s":                                                    "%s 打开：%s；共同签名：%s",
	"the patient reads why: %q":                                                         "患者看到的理由：%q",
	"the review was open until %s closed it: %s":                                        "复核一直开着，直到 %s 结案：%s",
	"Each hospital registers its people":                                                "各医院登记本院人员",
	"The archive writes for the patient, encrypted; the patient reads it all":           "病案室为患者写入加密病历；患者读取全部",
	"The patient grants: exams to Dr Lee for treatment, laboratory results to research": "患者授权：检查检验给李医生用于治疗，检验结果给研究",
	"Dr Lee reads the exams, the researcher the laboratory results":                     "李医生读取检查检验，研究者读取检验结果",
	"And nothing else":                                                                  "除此之外一概不行",
	"The patient revokes":                                                               "患者撤销授权",
	"The audit trail, and the chain verified offline":                                   "审计记录，以及离线验证整条链",
	"Every file of %s":                                                                  "%s 中的每个文件",

	"NAME":       "名称",
	"ATTRIBUTES": "属性",
	"WHO":        "身份",
	"TYPE":       "类型",
	"BYTES":      "字节",
	"TITLE":      "标题",
	"TO":         "授予",
	"PURPOSE":    "用途",
	"UNTIL":      "截止",
	"NUMBER":     "序号",
	"TIME":       "时间",
	"WHAT":       "事件",
	"BY":         "操作者",
	"RECORDS":    "病历数",
	"FILES":      "文件数",

	"patient; the chain knows a pseudonym":    "患者；链上只有化名",
	"record archive of the northern hospital": "北区医院病案室",
	"physician":           "医生",
	"emergency physician": "急诊医生",
	"researcher":          "研究者",
	"privacy officer":     "隐私官",

	"%s opened %d records in %.0f ms, on the chain before any hospital answered": "%s 打开 %d 份病历，用时 %.0f 毫秒；先上链，医院才作答",
	"%s %s: refused, %s (%s)":   "%s %s：被拒绝，%s（%s）",
	"not refused: %s %s":        "本应拒绝却没有：%s %s",
	"reads a prescription":      "读取处方",
	"reads with Dr Lee's grant": "使用李医生的授权读取",
	"reads for treatment":       "以治疗为由读取",
	"reads an exam again":       "再次读取检查",
	"%.0f ms until no hospital answers for the grant any more":                               "%.0f 毫秒后，再没有医院为该授权作答",
	"%d transactions in %d blocks: every signature, link, tree and certificate is in order,": "%d 笔交易，%d 个区块：每个签名、链接、哈希树和证书都无误，",
	"checked with nothing but consortium.json and the exported chain of %d bytes":            "只用 consortium.json 和导出的 %d 字节链数据即可验证",
	"putting":   "写入",
	"comparing": "比对",
	"%d records, %d bytes put: %.0f records/s": "写入 %d 份病历，%d 字节：每秒 %.0f 份",
	"%d of %d came back changed":               "返回时有改动的：%d / %d",
	"%s is no file and was left out":           "%s 不是文件，已跳过",
	"%d of %d records came back changed":       "%d / %d 份病历返回时有改动",
	"the chain does not verify":                "链未通过验证",
	"%d records, %d bytes: all came back as they went in. %d refusals, as it should be. %d transactions verified offline. %.1f s.": "%d 份病历，%d 字节：全部原样返回。%d 次拒绝，正如所愿。%d 笔交易离线验证通过。%.1f 秒。",
	"The hospitals' data is in %s.": "各医院的数据在 %s。",
}
