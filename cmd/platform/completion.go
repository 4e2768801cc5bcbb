package main

import (
	"context"
	"fmt"
	"strings"
)

// complete is the hidden command that the shells ask: its arguments are the words
// up to and with the one that is to be completed.
const complete = "__complete"

// candidates prints what the last of words may become, a line each.
func candidates(io streams, root *command, words []string) error {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	var all []string
	if words[0] == "help" && len(words) > 1 {
		words = words[1:]
		if len(words) == 1 {
			for _, t := range topics {
				all = append(all, t.name)
			}
		}
	} else if len(words) == 1 {
		all = append(all, "help")
	}
	cmd, _, rest := find(root, words[:len(words)-1])
	switch {
	case cmd.setup == nil && len(rest) == 0:
		for _, s := range cmd.subs {
			all = append(all, s.name)
		}
	case cmd.setup != nil && strings.HasPrefix(last, "-"):
		f := newFlags(&call{}, cmd)
		cmd.setup(f)
		for _, name := range append(f.own, f.common...) {
			all = append(all, "-"+name)
		}
	case len(rest) > 0 && (rest[len(rest)-1] == "-o" || rest[len(rest)-1] == "--o"):
		all = []string{string(formatTable), string(formatTSV), string(formatJSON)}
	}
	for _, s := range all {
		if strings.HasPrefix(s, "-") && strings.HasPrefix(last, "--") {
			s = "-" + s
		}
		if strings.HasPrefix(s, last) {
			fmt.Fprintln(io.out, s)
		}
	}
	return nil
}

func completionNoun() *command {
	noun := &command{name: "completion", short: "scripts that make a shell complete commands and flags"}
	for _, shell := range []struct{ name, script, example, where string }{
		{"bash", bashScript, "source <(platform completion bash)", "Put the example's line into ~/.bashrc."},
		{"zsh", zshScript, "source <(platform completion zsh)", "Put the example's line into ~/.zshrc, behind compinit."},
		{"fish", fishScript, "platform completion fish | source", "Put the example's line into ~/.config/fish/config.fish."},
	} {
		noun.subs = append(noun.subs, &command{
			name: shell.name, short: "print the script for " + shell.name, long: shell.where,
			examples: []string{shell.example},
			setup: func(*flags) action {
				return func(_ context.Context, c *call) error {
					_, err := fmt.Fprint(c.out, shell.script)
					return err
				}
			},
		})
	}
	return noun
}

const bashScript = `_platform() {
	local IFS=$'\n'
	COMPREPLY=($(platform ` + complete + ` "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _platform platform
`

const zshScript = `_platform() {
	local -a found
	found=(${(f)"$(platform ` + complete + ` "${(@)words[2,CURRENT]}" 2>/dev/null)"})
	if (( $#found )); then compadd -a found; else _files; fi
}
compdef _platform platform
`

const fishScript = `complete -c platform -f -a '(platform ` + complete + ` (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
`
