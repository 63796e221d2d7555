package cli

import (
	"context"
	"runtime"
	"runtime/debug"

	urfave "github.com/urfave/cli/v2"
)

// A versionData is what `ward version --json` reports.
type versionData struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Schema   string `json:"schema"` // of the envelopes
}

func (s *session) version() *urfave.Command {
	return &urfave.Command{
		Name:   "version",
		Usage:  s.tr("show the version of this program"),
		Action: s.act(0, showVersion),
	}
}

func showVersion(_ context.Context, s *session, _ *urfave.Context) (any, error) {
	v := currentVersion()
	s.print("ward " + v.Version + "\n")
	if v.Revision != "" {
		changed := ""
		if v.Modified {
			changed = s.tr(", with changes")
		}
		s.tell("built from %s%s", v.Revision, changed)
	}
	s.tell("with %s for %s", v.Go, v.Platform)
	return v, nil
}

func currentVersion() versionData {
	v := versionData{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Schema: schema}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if m := info.Main.Version; m != "" && m != "(devel)" {
		v.Version = m
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
