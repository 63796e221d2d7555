package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	urfave "github.com/urfave/cli/v2"
)

// A setting is a flag that the configuration file may give, too, under the same
// name.
type setting struct {
	name string
	path bool // a relative one counts from the file's own directory
}

// settings are what may stand in the configuration file. A flag that is not
// among them belongs to one command line only.
var settings = []setting{
	{name: "as"},
	{name: "consortium", path: true},
	{name: "dir", path: true},
	{name: "founding", path: true},
	{name: "json"},
	{name: "lang"},
	{name: "listen"},
	{name: "listen-peer"},
	{name: "log-format"},
	{name: "log-level"},
	{name: memoryFlag},
	{name: "metrics-from"},
	{name: "node"},
	{name: "passphrase-command"},
	{name: "passphrase-file", path: true},
	{name: "quiet"},
	{name: "store"},
	{name: "verbose"},
	{name: "wallets", path: true},
}

func settingNamed(name string) *setting {
	for i := range settings {
		if settings[i].name == name {
			return &settings[i]
		}
	}
	return nil
}

func settingNames() []string {
	var all []string
	for _, s := range settings {
		all = append(all, s.name)
	}
	return all
}

// A configuration is what a configuration file says: settings for everything,
// and under contexts.NAME those for one consortium, which come first.
type configuration struct {
	path     string
	explicit bool   // the person named the file
	exists   bool   //
	text     string // as it is on disk
	context  string // in force; "" for none
	top      map[string][]string
	contexts map[string]map[string][]string
}

// configPath returns where the configuration file is: as named, else in the
// user's directory for such files. "" means that there is no such place.
func configPath(named string) string {
	if named != "" {
		return named
	}
	dir := os.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		var err error
		if dir, err = os.UserConfigDir(); err != nil {
			return ""
		}
	}
	return filepath.Join(dir, "ward", "config.toml")
}

// readConfig reads a configuration file. named is what the person calls it, ""
// for the usual one, which need not be there; context is the one that he chose,
// or "". Beside an error it returns what could be read.
func readConfig(named, context string) (*configuration, error) {
	c := &configuration{path: configPath(named), explicit: named != "", context: context}
	if c.path == "" {
		return c, c.choose("")
	}
	f, err := os.Open(c.path)
	if errors.Is(err, fs.ErrNotExist) && !c.explicit {
		return c, c.choose("")
	}
	if err != nil {
		return c, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return c, err
	}
	if runtime.GOOS != "windows" && c.path != os.DevNull && info.Mode().Perm()&0o022 != 0 {
		// It can name a command to run.
		return c, failf("config", exitFailure, "others may change the configuration file %s", c.path).withHint("chmod go-w %s", c.path)
	}
	b, err := os.ReadFile(c.path)
	if err != nil {
		return c, err
	}
	c.exists, c.text = true, string(b)
	chosen, err := c.parse()
	if err != nil {
		return c, err
	}
	return c, c.choose(chosen)
}

// choose sets the context in force: what the person chose, else the file's own.
func (c *configuration) choose(own string) error {
	if c.context == "" {
		c.context = own
	}
	if c.context == "" || c.contexts[c.context] != nil {
		return nil
	}
	p := failf("config", exitUsage, "the configuration file has no context %q", c.context)
	if near := nearest(c.context, c.contextNames()); near != "" {
		return p.withHint("did you mean %s?", near)
	}
	return p.withHint("`ward config get` lists what there is")
}

// validContext reports whether a name can be that of a context.
func validContext(name string) bool {
	bad := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' }
	return name != "" && len(name) <= 48 && !strings.ContainsFunc(name, bad)
}

func (c *configuration) contextNames() []string {
	var all []string
	for name := range c.contexts {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// parse reads the text, and returns the context that it chooses.
func (c *configuration) parse() (chosen string, err error) {
	var tree map[string]any
	if _, err := toml.Decode(c.text, &tree); err != nil {
		bad := toml.ParseError{}
		if errors.As(err, &bad) {
			return "", failf("config", exitUsage, "configuration file %s, line %d: %s", c.path, bad.Position.Line, bad.Message)
		}
		return "", failf("config", exitUsage, "configuration file %s: %s", c.path, err.Error())
	}
	wrong := func(key, what string) error {
		return failf("config", exitUsage, "configuration file %s: %s: %s", c.path, key, what)
	}
	if v, ok := tree["context"]; ok {
		if chosen, ok = v.(string); !ok {
			return "", wrong("context", "not text")
		}
		delete(tree, "context")
	}
	if v, ok := tree["contexts"]; ok {
		tables, ok := v.(map[string]any)
		if !ok {
			return "", wrong("contexts", "not a table")
		}
		c.contexts = map[string]map[string][]string{}
		for name, v := range tables {
			table, ok := v.(map[string]any)
			if !ok || !validContext(name) {
				return "", wrong("contexts."+name, "not a table of a context")
			}
			if c.contexts[name], err = c.values(table, "contexts."+name+"."); err != nil {
				return "", err
			}
		}
		delete(tree, "contexts")
	}
	c.top, err = c.values(tree, "")
	return chosen, err
}

// values reads the settings of one table.
func (c *configuration) values(table map[string]any, prefix string) (map[string][]string, error) {
	out := map[string][]string{}
	for _, key := range sortedKeys(table) {
		s := settingNamed(key)
		if s == nil {
			p := failf("config", exitUsage, "configuration file %s: unknown setting %s", c.path, prefix+key)
			if near := nearest(key, settingNames()); near != "" {
				return nil, p.withHint("did you mean %s?", near)
			}
			return nil, p.withHint("`ward config get --help` lists the settings")
		}
		list, ok := texts(table[key])
		if !ok {
			return nil, failf("config", exitUsage, "configuration file %s: %s: %s", c.path, prefix+key, "not a value of a setting")
		}
		if s.path {
			for i := range list {
				list[i] = c.resolve(list[i])
			}
		}
		out[key] = list
	}
	return out, nil
}

// texts returns a value, or those of a list, as a command line gives them.
func texts(v any) ([]string, bool) {
	switch v := v.(type) {
	case string:
		return []string{v}, true
	case bool:
		return []string{strconv.FormatBool(v)}, true
	case int64:
		return []string{strconv.FormatInt(v, 10)}, true
	case []any:
		list := []string{}
		for _, e := range v {
			one, ok := e.(string)
			if !ok {
				return nil, false
			}
			list = append(list, one)
		}
		return list, true
	}
	return nil, false
}

// resolve returns the path that a file's setting means.
func (c *configuration) resolve(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(c.path), path)
}

// get returns what the file says of a setting.
func (c *configuration) get(name string) (values []string, from string, ok bool) {
	if v, ok := c.contexts[c.context][name]; ok {
		return v, "context", true
	}
	v, ok := c.top[name]
	return v, "file", ok
}

// configuration reads the configuration file that the line names and fills in
// what it says, unless the line is wrong already, as err says. Help, and the
// commands that are about the file itself, do without one.
func (l *commandLine) configuration(err error) (*configuration, error) {
	context := l.global("context", "WARD_CONTEXT")
	c, bad := readConfig(l.global("config", "WARD_CONFIG"), context)
	if l.help || l.version || len(l.path) > 0 && l.path[0].Name == "config" {
		if bad == nil {
			_ = l.fill(c) // they work with a file that does not
		}
		return c, err
	}
	if err == nil && bad == nil {
		bad = l.fill(c)
	}
	if err == nil {
		err = bad
	}
	return c, err
}

// fill adds to a command line what neither it nor a variable says and the
// configuration file does.
func (l *commandLine) fill(c *configuration) error {
	for level := range l.flags {
		for _, f := range l.flagsAt(level) {
			name := f.Names()[0]
			values, _, ok := c.get(name)
			if !ok || l.said(level, f) {
				continue
			}
			for _, v := range values {
				if err := checkValue(f, v); err != nil {
					return failf("config", exitUsage, "configuration file %s: %s: %s", c.path, name, err.Error())
				}
				l.flags[level] = append(l.flags[level], given{name: name, value: v, set: true, filled: true})
			}
		}
	}
	return nil
}

// said reports whether the command line or a variable gives a flag.
func (l *commandLine) said(level int, f urfave.Flag) bool {
	return variable(f) != "" || slices.ContainsFunc(l.flags[level], func(g given) bool { return g.name == f.Names()[0] })
}

// variable returns the value of a flag's variable.
func variable(f urfave.Flag) string {
	if d, ok := f.(urfave.DocGenerationFlag); ok {
		for _, name := range d.GetEnvVars() {
			if v := os.Getenv(name); v != "" {
				return v
			}
		}
	}
	return ""
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
