package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// help is the command "help": of a command, or of one of the topics.
func help(io streams, root *command, words []string) error {
	if len(words) == 1 {
		for _, t := range topics {
			if t.name == words[0] {
				_, err := fmt.Fprint(io.out, t.text())
				return err
			}
		}
	}
	cmd, path, rest := find(root, words)
	if len(rest) > 0 {
		return noun(io, cmd, path, rest)
	}
	page(io, cmd, path)
	return nil
}

// page prints the help of a command.
func page(s streams, cmd *command, path []string) {
	w := &writer{out: s.out, colors: s.colors(s.outTerminal)}
	switch {
	case len(path) == 0:
		rootPage(w, cmd)
	case cmd.setup == nil:
		nounPage(w, cmd, path)
	default:
		verbPage(w, cmd, path)
	}
}

// writer prints help.
type writer struct {
	out    io.Writer
	colors bool
}

func (w *writer) printf(format string, args ...any) { fmt.Fprintf(w.out, format, args...) }

func (w *writer) heading(s string) {
	if w.colors {
		s = bold.paint(s)
	}
	w.printf("\n%s\n", s)
}

// list prints names and what they are, below each other.
func (w *writer) list(rows [][2]string) {
	width := 0
	for _, r := range rows {
		if len(r[0]) <= 24 {
			width = max(width, len(r[0]))
		}
	}
	for _, r := range rows {
		name := fmt.Sprintf("%-*s", width, r[0])
		if len(r[0]) > width {
			name += "\n  " + strings.Repeat(" ", width)
		}
		if w.colors {
			name = cyan.paint(name)
		}
		w.printf("  %s  %s\n", name, r[1])
	}
}

func (w *writer) examples(lines []string) {
	if len(lines) == 0 {
		return
	}
	w.heading("Examples")
	for _, l := range lines {
		w.printf("  %s\n", l)
	}
}

func names(subs []*command) (rows [][2]string) {
	for _, s := range subs {
		rows = append(rows, [2]string{s.name, s.short})
	}
	return rows
}

func rootPage(w *writer, root *command) {
	w.printf("platform looks into, and operates, what your services stand on.\n\n")
	w.printf("  platform NOUN VERB [ARGUMENTS] [FLAGS]\n")
	w.heading("Nouns")
	w.list(names(root.subs))
	w.examples([]string{
		"export PLATFORM_KV=redis://127.0.0.1:6379",
		"platform kv put greeting hello",
		"platform kv list",
	})
	w.heading("More")
	rows := [][2]string{{"platform kv -h", "the verbs of a noun"}, {"platform kv put -h", "arguments, flags and examples of a verb"}}
	for _, t := range topics {
		rows = append(rows, [2]string{"platform help " + t.name, t.short})
	}
	w.list(rows)
}

func nounPage(w *writer, cmd *command, path []string) {
	name := "platform " + strings.Join(path, " ")
	w.printf("%s: %s\n", name, cmd.short)
	if cmd.long != "" {
		w.printf("\n%s\n", cmd.long)
	}
	w.heading("Verbs")
	w.list(names(cmd.subs))
	var lines []string
	for _, s := range cmd.subs {
		if len(s.examples) > 0 {
			lines = append(lines, s.examples[0])
		}
	}
	w.examples(lines)
	w.printf("\n\"%s VERB -h\" tells more.\n", name)
}

func verbPage(w *writer, cmd *command, path []string) {
	name := "platform " + strings.Join(path, " ")
	w.printf("%s: %s\n\n", name, cmd.short)
	usage := name
	if cmd.args != "" {
		usage += " " + cmd.args
	}
	w.printf("  %s [FLAGS]\n", usage)
	if cmd.long != "" {
		w.printf("\n%s\n", cmd.long)
	}
	f := newFlags(&call{}, cmd)
	cmd.setup(f)
	if len(f.own) > 0 {
		w.heading("Flags")
		w.list(f.describe(f.own))
	}
	w.heading("Flags of every verb")
	w.list(f.describe(f.common))
	w.examples(cmd.examples)
}

// describe returns the lines of flags.
func (f *flags) describe(names []string) (rows [][2]string) {
	for _, name := range names {
		fl := f.set.Lookup(name)
		value, usage := flag.UnquoteUsage(fl)
		usage = strings.TrimPrefix(usage, value+": ") // the value has a name only
		left := "-" + name
		if value != "" {
			left += " " + strings.ToUpper(value)
		}
		if v := f.env[name]; v != "" {
			usage += " (or " + v + ")"
		}
		if !slices.Contains([]string{"", "0", "false", "0s"}, fl.DefValue) {
			usage += " (default " + strings.TrimSuffix(fl.DefValue, "m0s") + ")"
		}
		rows = append(rows, [2]string{left, usage})
	}
	return rows
}
