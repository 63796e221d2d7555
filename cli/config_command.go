package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/ward-health/ward/internal/durable"
)

func (s *session) configCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "config",
		Usage: s.tr("settings that hold until you change them"),
		Description: s.tr(`A flag on the command line counts first, then its WARD_ variable, then the
configuration file, then the default. In the file, what is under contexts.NAME
counts before what is at the top; a context is chosen by --context, WARD_CONTEXT,
or "context" in the file. Relative paths in it begin at the file's own folder.`),
		Subcommands: []*urfave.Command{
			{
				Name: "get", Usage: s.tr("show the settings in force, and where they come from"), ArgsUsage: s.tr("[KEY]"),
				Description: s.tr(`With a KEY it prints the value alone.

Examples:
  ward config get
  ward config get dir --context north`) + "\n\n" + s.tr("Settings: %s", strings.Join(settingNames(), ", ")),
				Action: s.act(1, configGet),
			},
			{
				Name: "set", Usage: s.tr("change a setting in the file"), ArgsUsage: s.tr("KEY VALUE"),
				Description: s.tr(`Changes one line and leaves the others as they are. With --context it is one for
that context, which is made if there is none. The key "context" chooses a context.

Examples:
  ward config set consortium /etc/ward/consortium.json
  ward config set dir /var/lib/ward --context north
  ward config set context north`),
				Action: s.act(2, configSet),
			},
			{
				Name: "unset", Usage: s.tr("remove a setting from the file"), ArgsUsage: s.tr("KEY"),
				Action: s.act(1, configUnset),
			},
			{Name: "path", Usage: s.tr("print where the file is"), Action: s.act(0, configFile)},
			{
				Name: "validate", Usage: s.tr("check the file"),
				Description: s.tr(`Reads the whole file as every command does, all contexts included.

Examples:
  ward config validate
  ward config validate --config /etc/ward/config.toml`),
				Action: s.act(0, configValidate),
			},
		},
	}
}

// A settingData is a line of `ward config get --json`.
type settingData struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	From  string `json:"from"` // variable, context, or file
}

type configData struct {
	Path     string        `json:"path"`
	Exists   bool          `json:"exists"`
	Context  string        `json:"context,omitempty"`
	Contexts []string      `json:"contexts,omitempty"`
	Settings []settingData `json:"settings"`
}

// reread reads the file again, for its error.
func (s *session) reread() (*configuration, error) {
	return readConfig(s.line.global("config", "WARD_CONFIG"), s.line.global("context", "WARD_CONTEXT"))
}

func configGet(_ context.Context, s *session, c *urfave.Context) (any, error) {
	file, err := s.reread()
	if err != nil {
		return nil, err
	}
	data := configData{Path: file.path, Exists: file.exists, Context: file.context, Contexts: file.contextNames(), Settings: []settingData{}}
	for _, one := range settings {
		if v := os.Getenv(variableName(one.name)); v != "" {
			data.Settings = append(data.Settings, settingData{one.name, v, "variable"})
		} else if v, from, ok := file.get(one.name); ok {
			data.Settings = append(data.Settings, settingData{one.name, strings.Join(v, ","), from})
		}
	}
	if key := c.Args().First(); key != "" {
		if err := knownSetting(key); err != nil {
			return nil, err
		}
		if key == "context" && data.Context != "" {
			data.Settings = append(data.Settings, settingData{"context", data.Context, "file"})
		}
		for _, one := range data.Settings {
			if one.Key == key {
				s.print(one.Value + "\n")
				data.Settings = []settingData{one}
				return data, nil
			}
		}
		return nil, failf("not-found", exitNotFound, "%s is not set", key)
	}
	from := map[string]string{"variable": s.tr("variable"), "context": s.tr("context %s", data.Context), "file": s.tr("file")}
	rows := [][]string{}
	for _, one := range data.Settings {
		rows = append(rows, []string{one.Key, one.Value, from[one.From]})
	}
	if len(rows) > 0 {
		s.grid([]string{"SETTING", "VALUE", "FROM"}, rows)
	}
	if len(data.Contexts) > 0 {
		s.tell("contexts: %s", strings.Join(data.Contexts, ", "))
	}
	if data.Exists {
		s.tell("configuration file: %s", data.Path)
	} else {
		s.tell("no configuration file; it would be %s", data.Path)
	}
	return data, nil
}

// variableName returns the variable of a setting's flag.
func variableName(setting string) string {
	return "WARD_" + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
}

func knownSetting(key string) error {
	if key == "context" || settingNamed(key) != nil {
		return nil
	}
	p := usagef("unknown setting %s", key)
	if near := nearest(key, settingNames()); near != "" {
		return p.withHint("did you mean %s?", near)
	}
	return p.withHint("`ward config get --help` lists the settings")
}

func configSet(_ context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() != 2 {
		return nil, usagef("which setting, and which value?").withHint("`ward config set KEY VALUE`")
	}
	key, value := c.Args().Get(0), c.Args().Get(1)
	return s.changeConfig(key, &value)
}

func configUnset(_ context.Context, s *session, c *urfave.Context) (any, error) {
	if c.NArg() != 1 {
		return nil, usagef("which setting?").withHint("`ward config unset KEY`")
	}
	return s.changeConfig(c.Args().First(), nil)
}

// changeConfig sets a key in the file, or removes it.
func (s *session) changeConfig(key string, value *string) (any, error) {
	if err := knownSetting(key); err != nil {
		return nil, err
	}
	table, name := "", s.line.global("context", "WARD_CONTEXT")
	file, err := readConfig(s.line.global("config", "WARD_CONFIG"), "")
	if err != nil && (!os.IsNotExist(err) || value == nil) {
		return nil, err
	}
	switch {
	case file.path == "":
		return nil, failf("config", exitFailure, "there is no place for a configuration file").withHint("--config names one")
	case key == "context" && value != nil && file.contexts[*value] == nil:
		return nil, failf("config", exitUsage, "the configuration file has no context %q", *value).withHint("`ward config set KEY VALUE --context %s` makes it", *value)
	case key == "context": // is always at the top
	case name != "" && !validContext(name):
		return nil, usagef("a context is named with lower-case letters, digits, - and _: not %q", name)
	case name != "":
		table = "contexts." + name
	}
	var typed any
	if value != nil {
		if typed, err = s.typed(key, *value); err != nil {
			return nil, err
		}
	}
	text, err := setLine(file.text, table, key, typed)
	if err != nil {
		return nil, failf("config", exitFailure, "the configuration file is not changed: %s", err.Error()).withHint("edit %s by hand", file.path)
	}
	after := &configuration{path: file.path, text: text}
	if _, err := after.parse(); err != nil {
		return nil, err
	}
	if err := durable.MkdirAll(filepath.Dir(file.path), 0o700); err != nil {
		return nil, err
	}
	if err := durable.WriteFile(file.path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	s.tell("configuration file: %s", file.path)
	return configData{Path: file.path, Exists: true, Contexts: after.contextNames(), Settings: []settingData{}}, nil
}

// typed returns the value of a setting as TOML has it, checked against a flag of
// that name.
func (s *session) typed(key, value string) (any, error) {
	if key == "context" {
		return value, nil
	}
	f := findFlag(key, s.app().Flags, s.app().Commands)
	if f == nil {
		return value, nil
	}
	if err := checkValue(f, value); err != nil {
		return nil, usagef("%s does not take %q", key, value)
	}
	switch f.(type) {
	case *urfave.BoolFlag:
		return isTrue(value), nil
	case *urfave.StringSliceFlag:
		return strings.Split(value, ","), nil
	}
	return value, nil
}

// findFlag returns a flag with a name, of whatever command.
func findFlag(name string, flags []urfave.Flag, commands []*urfave.Command) urfave.Flag {
	for _, f := range flags {
		if f.Names()[0] == name {
			return f
		}
	}
	for _, c := range commands {
		if f := findFlag(name, c.Flags, c.Subcommands); f != nil {
			return f
		}
	}
	return nil
}

func configFile(_ context.Context, s *session, _ *urfave.Context) (any, error) {
	path := configPath(s.line.global("config", "WARD_CONFIG"))
	if path == "" {
		return nil, failf("config", exitFailure, "there is no place for a configuration file").withHint("--config names one")
	}
	_, err := os.Stat(path)
	s.print(path + "\n")
	return configData{Path: path, Exists: err == nil, Settings: []settingData{}}, nil
}

func configValidate(_ context.Context, s *session, _ *urfave.Context) (any, error) {
	file, err := s.reread()
	if err != nil {
		return nil, err
	}
	if !file.exists {
		return nil, failf("not-found", exitNotFound, "there is no configuration file %s", file.path).withHint("`ward config set KEY VALUE` makes one")
	}
	app := s.app()
	for _, table := range append([]map[string][]string{file.top}, contextsOf(file)...) {
		for _, key := range sortedKeys(table) {
			f := findFlag(key, app.Flags, app.Commands)
			for _, v := range table[key] {
				if f != nil && checkValue(f, v) != nil {
					return nil, failf("config", exitUsage, "%s does not take %q", key, v)
				}
				if s := settingNamed(key); s.path && key != "dir" {
					if _, err := os.Stat(v); err != nil {
						return nil, fmt.Errorf("%s: %w", key, errors.Unwrap(err))
					}
				}
			}
		}
	}
	s.say("%s is in order", file.path)
	return configData{Path: file.path, Exists: true, Context: file.context, Contexts: file.contextNames(), Settings: []settingData{}}, nil
}

func contextsOf(c *configuration) (all []map[string][]string) {
	for _, name := range c.contextNames() {
		all = append(all, c.contexts[name])
	}
	return all
}
