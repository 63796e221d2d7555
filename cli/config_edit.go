package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// setLine returns a TOML text in which a key of a table ("" for the top) has
// another value, or none if value is nil, and every other line is as it was. It
// fails where the text is written in a way that lines do not show.
func setLine(text, table, key string, value any) (string, error) {
	var before, after map[string]any
	if _, err := toml.Decode(text, &before); err != nil {
		return "", err
	}
	lines := strings.SplitAfter(text, "\n")
	if last := len(lines) - 1; lines[last] == "" {
		lines = lines[:last]
	} else {
		lines[last] += "\n"
	}
	from, to, found := tableLines(lines, table)
	at := -1
	for i := from; i < to; i++ {
		name, _, ok := strings.Cut(lines[i], "=")
		if ok && strings.Trim(strings.TrimSpace(name), `"'`) == key {
			at = i
		}
	}
	line := ""
	if value != nil {
		b, err := toml.Marshal(map[string]any{key: value})
		if err != nil {
			return "", err
		}
		line = string(b)
	}
	switch {
	case at >= 0 && value == nil:
		lines = slices.Delete(lines, at, at+1)
	case at >= 0:
		lines[at] = line
	case value == nil:
		return text, nil
	case !found:
		if len(lines) > 0 {
			lines = append(lines, "\n")
		}
		lines = append(lines, "["+table+"]\n", line)
	default:
		for to > from && strings.TrimSpace(lines[to-1]) == "" {
			to-- // before what is empty in front of the next table
		}
		lines = slices.Insert(lines, to, line)
	}
	out := strings.Join(lines, "")
	if _, err := toml.Decode(out, &after); err != nil {
		return "", err
	}
	put(before, table, key, value)
	if fmt.Sprint(prune(before)) != fmt.Sprint(prune(after)) {
		return "", errors.New("written in a way that only a person can edit")
	}
	return out, nil
}

// tableLines returns the lines of a table, without its heading.
func tableLines(lines []string, table string) (from, to int, found bool) {
	current := ""
	found = table == ""
	for i, l := range lines {
		l = strings.TrimSpace(l)
		if !strings.HasPrefix(l, "[") {
			continue
		}
		if current == table && found {
			return from, i, true
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(l, "["), "]")
		current = strings.ReplaceAll(strings.ReplaceAll(name, " ", ""), `"`, "")
		if current == table {
			from, found = i+1, true
		}
	}
	if !found {
		return 0, 0, false
	}
	return from, len(lines), true
}

// put sets a key of a table in a tree.
func put(tree map[string]any, table, key string, value any) {
	for _, name := range strings.FieldsFunc(table, func(r rune) bool { return r == '.' }) {
		below, ok := tree[name].(map[string]any)
		if !ok {
			below = map[string]any{}
			tree[name] = below
		}
		tree = below
	}
	if value == nil {
		delete(tree, key)
	} else {
		tree[key] = value
	}
}

// prune removes empty tables.
func prune(tree map[string]any) map[string]any {
	for k, v := range tree {
		if m, ok := v.(map[string]any); ok && len(prune(m)) == 0 {
			delete(tree, k)
		}
	}
	return tree
}
