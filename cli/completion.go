package cli

import (
	"context"

	urfave "github.com/urfave/cli/v2"
)

// completionScripts ask the program what could come next. Where that is no
// command, and no flag half typed, the shell offers files, too.
var completionScripts = map[string]string{
	"bash": `# bash completion for ward
_ward() {
	local IFS=$'\n' words=("${COMP_WORDS[@]:1:COMP_CWORD}")
	local last="${words[-1]}"
	if [[ $last != -* ]]; then unset 'words[-1]'; fi
	local offers="$("${COMP_WORDS[0]}" "${words[@]}" --generate-bash-completion 2>/dev/null)"
	COMPREPLY=($(compgen -W "$offers" -- "$last"))
	if [[ $offers == -* && $last != -* ]]; then COMPREPLY+=($(compgen -f -- "$last")); fi
}
complete -o default -F _ward ward
`,
	"zsh": `#compdef ward
_ward() {
	local -a given offers
	given=("${words[@]:1:$((CURRENT - 1))}")
	if [[ ${words[CURRENT]} != -* ]]; then given[-1]=(); fi
	offers=("${(@f)$("${words[1]}" "${given[@]}" --generate-bash-completion 2>/dev/null)}")
	if [[ -n ${offers[*]} ]]; then compadd -- "${offers[@]}"; fi
	if [[ ${offers[*]} == (|-*) && ${words[CURRENT]} != -* ]]; then _files; fi
}
if [[ ${funcstack[1]} == _ward ]]; then _ward "$@"; else compdef _ward ward; fi
`,
	"fish": `# fish completion for ward
function __ward_complete
	set -l given (commandline -opc) (commandline -ct | string match -- '-*')
	$given[1] $given[2..-1] --generate-bash-completion 2>/dev/null
end
complete -c ward -a '(__ward_complete)'
`,
}

func (s *session) completion() *urfave.Command {
	return &urfave.Command{
		Name: "completion", Usage: s.tr("print a script that completes commands and flags in your shell"), ArgsUsage: "bash|zsh|fish",
		Description: s.tr(`Examples:
  source <(ward completion bash)                                    now; in ~/.bashrc: always
  ward completion zsh > "${fpath[1]}/_ward"
  ward completion fish > ~/.config/fish/completions/ward.fish`),
		Action: s.act(1, completionScript),
	}
}

func completionScript(_ context.Context, s *session, c *urfave.Context) (any, error) {
	shell := c.Args().First()
	script, ok := completionScripts[shell]
	if !ok {
		return nil, usagef("which shell?").withHint("choose bash, zsh or fish")
	}
	s.print(script)
	return map[string]string{"shell": shell, "script": script}, nil
}
