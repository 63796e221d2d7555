package cli

// inChineseForAudits is the dictionary of accesses, the audit trail and
// the chain.
var inChineseForAudits = map[string]string{
	"%q is no number of an access":                             "%q 不是访问的序号",
	"%s: %d lines":                                             "%s：%d 行",
	"%s: %d transactions in %d blocks until %s, %s":            "%s：%d 笔交易，%d 个区块，截至 %s，%s",
	"--format csv, ndjson or fhir exports one patient's trail": "用 --format csv、ndjson 或 fhir 导出某位患者的记录",
	"A signed note as transparency logs have it: keep one, and any later chain must\ncontain it.\n\nExamples:\n  ward chain checkpoint\n  ward chain checkpoint -o today.checkpoint":  "即透明日志所用的签名文本：保存一份，今后的链都必须包含它。\n\n示例：\n  ward chain checkpoint\n  ward chain checkpoint -o today.checkpoint",
	"By a reviewer who did not take part. After abuse no hospital answers for it any more.\n\nExamples:\n  ward access review 118 --outcome justified --as privacy@north":             "由未参与此事的审查员执行。若判为滥用，医院不再为其应答。\n\n示例：\n  ward access review 118 --outcome justified --as privacy@north",
	"Oldest first. --reasons opens why, which only the owner can.\n\nExamples:\n  ward access list --reasons\n  ward access list --open --as privacy@north":                           "最早的在前。--reasons 打开理由，只有所有者能打开。\n\n示例：\n  ward access list --reasons\n  ward access list --open --as privacy@north",
	"Oldest first. Every line with a number is proved by a receipt of the chain.\n\nExamples:\n  ward audit list\n  ward audit list --owner p-7f3a@north --as auditor@north --ndjson": "最早的在前。带序号的每一行都有链上收据作证。\n\n示例：\n  ward audit list\n  ward audit list --owner p-7f3a@north --as auditor@north --ndjson",
	"REVIEW": "审查",
	"Shows what the access is and asks. FILE is what the reader's --draft wrote with\n.public behind its name.\n\nExamples:\n  ward access approve night.draft.public -o okafor.approval":                                                                                                                                                                                                            "显示访问的内容并请求确认。文件是读者的 --draft 写出的、名称以 .public 结尾的那个。\n\n示例：\n  ward access approve night.draft.public -o okafor.approval",
	"The chain is checked as it comes: links, trees, signatures, certificates. The file\nappears whole and in order, or not at all.\n\nExamples:\n  ward chain export -o chain.export":                                                                                                                                                                                                               "边接收边校验：链接、哈希树、签名、证书。文件要么完整无误地出现，要么不出现。\n\n示例：\n  ward chain export -o chain.export",
	"The chain itself, for ward audit verify, or what happened to one patient's records\nfor other programs: as CSV, as JSON lines, or as AuditEvents of HL7 FHIR R4.\n\nExamples:\n  ward audit export -o chain.export && ward audit verify chain.export\n  ward audit export --format csv --owner p-7f3a@north -o trail.csv\n  ward audit export --format fhir --owner p-7f3a@north -o trail.json": "链本身，供 ward audit verify 使用；或某位患者病历的经过，供其他程序使用：CSV、JSON 行，\n或 HL7 FHIR R4 的 AuditEvent。\n\n示例：\n  ward audit export -o chain.export && ward audit verify chain.export\n  ward audit export --format csv --owner p-7f3a@north -o trail.csv\n  ward audit export --format fhir --owner p-7f3a@north -o trail.json",
	"`ward access list --open` shows the numbers": "`ward access list --open` 显示序号",
	"abuse":                      "滥用",
	"access %d is reviewed: %s":  "访问 %d 已审查：%s",
	"asked for a grant":          "申请授权",
	"by whom":                    "由谁读取",
	"chain, csv, ndjson or fhir": "chain、csv、ndjson 或 fhir",
	"check it anywhere: `ward audit verify %s --consortium FILE`": "可在任何地方校验：`ward audit verify %s --consortium 文件`",
	"checkpoint of %d transactions in %d blocks: %s":              "%d 笔交易、%d 个区块的检查点：%s",
	"choose chain, csv, ndjson or fhir":                           "请选择 chain、csv、ndjson 或 fhir",
	"close the review of an emergency access":                     "结束对紧急访问的审查",
	"emergencies that wait for review":                            "待审查的紧急访问",
	"emergency read":                                              "紧急读取",
	"emergency reviewed":                                          "紧急访问已审查",
	"fetching and checking":                                       "获取并校验",
	"flag %s does not take %q":                                    "选项 %s 不接受 %q",
	"flag %s: %q is neither justified nor abuse":                  "选项 %s：%q 既不是 justified 也不是 abuse",
	"grant ended":                                                 "授权终止",
	"grant made":                                                  "授权建立",
	"hospitals and their auditors may; `ward audit list` shows what is yours": "医院及其审计员可以；`ward audit list` 显示与您有关的内容",
	"justified":          "正当",
	"justified or abuse": "justified（正当）或 abuse（滥用）",
	"list accesses to your records, or others that you may see": "列出对您病历的访问，或您可见的其他访问",
	"list what happened to a patient's records and grants":      "列出患者病历和授权的经过",
	"no accesses":                           "没有访问",
	"nothing happened yet":                  "尚无记录",
	"one of --owner, --reader and --record": "--owner、--reader、--record 只能给一个",
	"open the reasons; of accesses to your own records only": "打开理由；仅限对自己病历的访问",
	"print the newest certified checkpoint":                  "打印最新的已认证检查点",
	"record erased":                                          "病历删除",
	"sign another's access as a co-signer":                   "作为共签人签署他人的访问",
	"the chain is everybody's":                               "链属于所有人",
	"to which record":                                        "对哪份病历",
	"to whose records; else yours":                           "对谁的病历；缺省为自己的",
	"which access?":                                          "哪次访问？",
	"who read what":                                          "谁读取了什么",
	"write the audit trail to a file":                        "把审计记录写入文件",
	"write the whole chain to a file":                        "把整条链写入文件",
	"you may not see the whole chain":                        "您无权查看整条链",
	"you may see the accesses only":                          "您只能看到访问记录",

	// A node's own chain.
	"restore the chain of a stopped node from an export": "用导出文件恢复已停止节点的链",
	`For a node whose chain is lost and that the others cannot give it, because they lost
theirs too: every transaction runs again under the rules of this version of Ward. The
directory gets the whole chain, or none. What came after the export is gone. Members
that restore are started together: each waits until half of the others answer.

Examples:
  ward chain import chain.export --dir /var/lib/ward
  ward chain import chain.export --dir ./north --consortium consortium.json`: `用于链已丢失、而其他成员也丢失了链因而无法提供的节点：每笔交易都按本版本 Ward 的规则
重新执行。目录中要么得到整条链，要么什么也没有。导出之后的内容不复存在。恢复的成员须一起
启动：每个成员都要等到其他成员中有一半应答。

示例：
  ward chain import chain.export --dir /var/lib/ward
  ward chain import chain.export --dir ./north --consortium consortium.json`,
	"importing":               "导入",
	"it was imported into %s": "已导入 %s",
	"start all members that restore together, with `ward node run --dir %s`: each waits until half of the others answer": "请用 `ward node run --dir %s` 一起启动所有恢复的成员：每个成员都要等到其他成员中有一半应答",
	"every block, the state, every index and %d sidecars are in order":                                                   "每个区块、状态、每个索引和 %d 份附件均无误",
	"%d sidecars are not here: the node asks the others for them while it runs":                                          "缺少 %d 份附件：节点运行时会向其他成员索取",
	"the newest checkpoint on disk certifies block %d":                                                                   "磁盘上最新的检查点认证到区块 %d",
	"there is no checkpoint on disk that members of the consortium file certify":                                         "磁盘上没有由该联盟文件的成员认证的检查点",
	"an export from before the newest consortium file needs the one of its time: --consortium FILE":                      "早于最新联盟文件的导出需要当时的联盟文件：--consortium 文件",
	"`ward node stop --dir %s` stops the node":                                                                           "`ward node stop --dir %s` 停止该节点",
	"there is no chain in %s: an import was cut off":                                                                     "%s 中没有链：导入曾被中断",
	"begin it again: `ward chain import FILE --dir %s`":                                                                  "请重新开始：`ward chain import 文件 --dir %s`",
	"begin it again: `ward chain import FILE --dir NODE`":                                                                "请重新开始：`ward chain import 文件 --dir 节点目录`",
	"there is a chain in %s already":                                                                                     "%s 中已有链",
	"`ward chain verify --dir %s` checks it; to replace it all the same, move %s away first":                             "`ward chain verify --dir %s` 可检查它；若仍要替换，请先移走 %s",
	"the disk has too little room":                                                                                       "磁盘空间不足",
	"nothing was imported; make room, and import again":                                                                  "没有导入任何内容；请腾出空间后重新导入",
	"there is no chain in %s":                                                                                            "%s 中没有链",
	"the others give it one when it runs; if they lost theirs too: `ward chain import FILE --dir %s`":                    "节点运行时由其他成员提供；若它们也丢失了：`ward chain import 文件 --dir %s`",
	"a node repairs what it can from the others when it starts; docs/how-to/run-a-consortium.md says what else there is": "节点启动时会从其他成员修复所能修复的；其他办法见 docs/how-to/run-a-consortium.md",
}
