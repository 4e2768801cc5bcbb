// Package shell runs what a page of the documentation tells its reader to type,
// and compares what the page says that comes of it.
//
// A block of sh is typed, line by line in the folder where the one before it
// ended. A block of text after it is what the reader sees: lines that are equal,
// where "…" within a line stands for anything, and a line of nothing else for
// any lines. Before a block may stand
//
//	<!-- keeps running: one -->
//
// for a command in a terminal of its own, called one; the next block for it, or
// the end, types Ctrl-C there first. A last "&" does the same for a single line.
// Its text is what the command has printed by the time that the page goes on. And
//
//	<!-- not run: why -->
//
// is for what can't be done in a test. A line
//
//	<!-- ctrl-c: one -->
//
// ends what runs in a terminal, and
//
//	<!-- seen in: one -->
//
// before a block of text says that it is among what the terminal shows. Lines that begin with curl are typed again
// until they succeed, and print what they should, within Session.Within: a
// reader, too, waits until the service is up.
package shell

import (
	"fmt"
	"regexp"
	"strings"
)

// Block is what a page tells its reader to type.
type Block struct {
	Line     int      // of the page
	Terminal string   // where it keeps running; "" if it ends
	Commands []string // none: what the terminal shows, or, without Want, its end
	Want     string   // what it prints; "" if the page doesn't say
}

var mark = regexp.MustCompile(`^<!-- (keeps running|not run|ctrl-c|seen in): (.+) -->$`)

// Blocks returns those of a page that are to be run.
func Blocks(page string) (all []Block, err error) {
	lines := strings.Split(page, "\n")
	before := "" // the last line that isn't empty
	last := -1   // the block whose text may follow
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		language, fenced := strings.CutPrefix(line, "```")
		if !fenced {
			if line != "" {
				before = line
			}
			if m := mark.FindStringSubmatch(line); m != nil && m[1] == "ctrl-c" {
				all, last = append(all, Block{Line: i + 1, Terminal: m[2]}), -1
			}
			continue
		}
		begin := i + 1
		for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "```"; i++ {
		}
		if i == len(lines) {
			return nil, fmt.Errorf("line %d: the block has no end", begin)
		}
		body := lines[begin:i]
		m := mark.FindStringSubmatch(before)
		adjacent := before == "```"
		before = "```"
		switch {
		case language == "text" && last >= 0 && adjacent:
			all[last].Want = strings.Join(body, "\n") + "\n"
			last = -1
		case language == "text" && m != nil && m[1] == "seen in":
			all = append(all, Block{Line: begin, Terminal: m[2], Want: "…\n" + strings.Join(body, "\n") + "\n…\n"})
			last = -1
		case language != "sh":
			last = -1
		case m != nil && m[1] == "not run":
			last = -1
		default:
			b := Block{Line: begin, Commands: commands(body)}
			if m != nil && m[1] == "keeps running" {
				b.Terminal = m[2]
			}
			all, last = append(all, b), len(all)
		}
	}
	return all, nil
}

// commands joins lines that end in a backslash with the next, leaves out comments,
// and keeps a here-document with its command.
func commands(lines []string) (all []string) {
	open := false
	until := ""
	for _, line := range lines {
		text := strings.TrimSpace(line)
		if until != "" || open {
			all[len(all)-1] += "\n" + line
			if text == until {
				until = ""
			}
			open = until == "" && strings.HasSuffix(text, `\`)
			continue
		}
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		all = append(all, line)
		open = strings.HasSuffix(text, `\`)
		if m := here.FindStringSubmatch(line); m != nil {
			until = m[1]
		}
	}
	return all
}

var here = regexp.MustCompile(`<<-?'?(\w+)'?`)

// Match reports whether a page's text is what was printed. Spaces at the ends of
// lines don't count.
func Match(want, got string) bool {
	var pattern strings.Builder
	pattern.WriteString(`^`)
	for line := range strings.Lines(want) {
		line = strings.TrimRight(line, " \t\n")
		if strings.TrimSpace(line) == "…" {
			pattern.WriteString(`(?s:.*\n)?`)
			continue
		}
		parts := strings.Split(line, "…")
		for i, p := range parts {
			parts[i] = regexp.QuoteMeta(p)
		}
		pattern.WriteString(strings.Join(parts, `[^\n]*`) + `[ \t\r]*\n`)
	}
	pattern.WriteString(`$`)
	if !strings.HasSuffix(got, "\n") {
		got += "\n"
	}
	return regexp.MustCompile(pattern.String()).MatchString(got)
}
