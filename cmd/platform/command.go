package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// command is a word of the command line: a noun, which has commands below it, or
// a verb, which does something.
type command struct {
	name  string
	short string // what it does, on one line
	long  string // more of it, for its help
	subs  []*command

	// Of a verb:
	args     string // "KEY [VALUE]"
	min, max int    // how many arguments there are; max -1: any number
	follows  bool   // goes on until Ctrl-C, so that -timeout bounds nothing
	patient  bool   // takes as long as there is to do: -timeout bounds it only if it is given
	reads    bool   // its last argument may be standard input, which is read before -timeout begins
	setup    func(f *flags) action
	examples []string // command lines that work, with "# exit N" behind those that don't end with 0; the tests run them
}

// action does what a verb is for.
type action func(ctx context.Context, c *call) error

// find goes down from the root as far as the words name commands. path are the
// names up to cmd.
func find(root *command, words []string) (cmd *command, path, rest []string) {
	cmd = root
	for len(words) > 0 {
		i := slices.IndexFunc(cmd.subs, func(s *command) bool { return s.name == words[0] })
		if i < 0 {
			break
		}
		cmd, path, words = cmd.subs[i], append(path, words[0]), words[1:]
	}
	return cmd, path, words
}

// dispatch executes a command line.
func dispatch(ctx context.Context, io streams, args []string) error {
	root := tree()
	if len(args) > 0 && args[0] == complete {
		return candidates(io, root, args[1:])
	}
	if len(args) > 0 && args[0] == "help" {
		return help(io, root, args[1:])
	}
	if len(args) > 0 && (args[0] == "--version" || args[0] == "-version") { // as other programs have it
		args = append([]string{"version"}, args[1:]...)
	}
	cmd, path, rest := find(root, args)
	if cmd.setup == nil {
		return noun(io, cmd, path, rest)
	}
	return execute(ctx, io, cmd, path, rest)
}

// execute executes a verb.
func execute(ctx context.Context, io streams, cmd *command, path, rest []string) error {
	c := &call{streams: io, path: path}
	defer c.close()
	f := newFlags(c, cmd)
	act := cmd.setup(f)
	words, err := f.parse(rest)
	if err != nil {
		return err
	}
	if f.help {
		page(io, cmd, path)
		return nil
	}
	if len(words) < cmd.min || cmd.max >= 0 && len(words) > cmd.max {
		return badUse("usage: platform %s %s", strings.Join(path, " "), cmd.args)
	}
	if f.most != nil && *f.most < 0 {
		return badUse("-limit %d: want 0 or more", *f.most)
	}
	c.args = words
	if cmd.reads {
		c.data, err = c.input(ctx, cmd.max-1)
		if err != nil {
			return err
		}
	}
	if !cmd.follows && f.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.timeout)
		defer cancel()
	}
	return timedOut(ctx, act(ctx, c), f.timeout)
}

// timedOut says that -timeout has ended a command. A write that may have been
// applied stays that.
func timedOut(ctx context.Context, err error, timeout time.Duration) error {
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(ctx.Err(), context.DeadlineExceeded) || codeOf(err) == exitUnknown {
		return err
	}
	return &failure{exitUnavailable, fmt.Sprintf("no answer within %v; see -timeout", timeout)}
}

// noun is a command line that ends before a verb.
func noun(io streams, cmd *command, path, rest []string) error {
	if len(rest) == 0 || slices.Contains([]string{"-h", "-help", "--help"}, rest[0]) {
		page(io, cmd, path)
		return nil
	}
	if strings.HasPrefix(rest[0], "-") {
		name, _, _ := strings.Cut(rest[0], "=") // a value may have a password
		return badUse("flags follow the command: platform %s, not platform %s", strings.Join(append(slices.Clone(path), "…", name), " "), strings.Join(append(slices.Clone(path), name, "…"), " "))
	}
	names := make([]string, len(cmd.subs))
	for i, s := range cmd.subs {
		names[i] = s.name
	}
	var known string
	if near := nearest(rest[0], names); near != "" {
		known = fmt.Sprintf("; did you mean %q?", near)
	} else {
		known = ", want one of: " + strings.Join(names, ", ")
	}
	return badUse("unknown command %q%s", strings.Join(append(slices.Clone(path), rest[0]), " "), known)
}

// nearest returns the one of known that s is most likely meant to be, or "".
func nearest(s string, known []string) string {
	best, at := "", 3
	for _, k := range known {
		if d := distance(s, k); d < at && d < len(k) {
			best, at = k, d
		}
	}
	return best
}

// distance is how many letters have to be changed, added or removed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		above := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := above
			if a[i] != b[j] {
				cost++
			}
			above = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
