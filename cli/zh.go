package cli

// inChinese gives every message of the command line in Chinese, by its English
// text. A test keeps it complete.
var inChinese = map[string]string{}
