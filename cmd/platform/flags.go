package main

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// flags are those of one verb. They may stand before, between and behind the
// arguments, until "--".
type flags struct {
	set     *flag.FlagSet
	call    *call
	own     []string // names, in the order in which they were defined
	common  []string
	env     map[string]string // by name: the variable that stands for the flag
	help    bool
	timeout time.Duration
	most    *int // the value of -limit; nil: there is none
}

func newFlags(c *call, cmd *command) *flags {
	f := &flags{set: flag.NewFlagSet(cmd.name, flag.ContinueOnError), call: c, env: map[string]string{}}
	f.set.Func("o", "`FORMAT`: table, tsv or json; see \"platform help output\"", func(s string) error {
		switch format(s) {
		case formatTable, formatTSV, formatJSON:
			c.format = format(s)
			return nil
		}
		return fmt.Errorf("want table, tsv or json")
	})
	f.common = append(f.common, "o")
	if !cmd.follows {
		usual := 10 * time.Second
		if cmd.patient {
			usual = 0
		}
		f.set.DurationVar(&f.timeout, "timeout", usual, "give up after `DURATION`; 0: never")
		f.common = append(f.common, "timeout")
	}
	for _, name := range []string{"h", "help"} {
		f.set.BoolVar(&f.help, name, false, "print this help")
	}
	f.common = append(f.common, "h")
	return f
}

// The functions below define a flag and return where its value will be. A word in
// backquotes in usage stands for the value in the help.

// defining is the set to define a flag of that name in.
func (f *flags) defining(name string) *flag.FlagSet {
	f.own = append(f.own, name)
	return f.set
}

func (f *flags) string(name, def, usage string) *string {
	return f.defining(name).String(name, def, usage)
}

// text is a string without a default.
func (f *flags) text(into *string, name, usage string) {
	f.defining(name).StringVar(into, name, "", usage)
}

func (f *flags) int(name string, def int, usage string) *int {
	return f.defining(name).Int(name, def, usage)
}

func (f *flags) bool(name, usage string) *bool { return f.defining(name).Bool(name, false, usage) }

func (f *flags) duration(name, usage string) *time.Duration {
	return f.defining(name).Duration(name, 0, usage)
}

// number is an unsigned number, and whether the flag was given.
type number struct {
	value uint64
	given bool
}

func (f *flags) number(name, usage string) *number {
	n := &number{}
	f.fun(name, usage, func(s string) (err error) {
		n.value, err = strconv.ParseUint(s, 10, 64)
		n.given = true
		return err
	})
	return n
}

func (f *flags) fun(name, usage string, set func(string) error) {
	f.defining(name).Func(name, usage, set)
}

// list is a flag that may be given several times.
func (f *flags) list(name, usage string) *[]string {
	var all []string
	f.fun(name, usage, func(s string) error { all = append(all, s); return nil })
	return &all
}

// pairs is a flag NAME=VALUE that may be given several times.
func (f *flags) pairs(name, usage string) map[string]string {
	all := map[string]string{}
	f.fun(name, usage, func(s string) error {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return fmt.Errorf("want NAME=VALUE")
		}
		all[k] = v
		return nil
	})
	return all
}

// moment is a time, or how long ago it was.
func (f *flags) moment(name, usage string) *time.Time {
	var at time.Time
	f.fun(name, usage, func(s string) (err error) { at, err = parseMoment(s, time.Now()); return err })
	return &at
}

// parseMoment reads "10m" as ten minutes before now, "2026-01-31" and RFC 3339.
func parseMoment(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, s, time.Local); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("want how long ago (10m) or a time (2006-01-02, 2006-01-02T15:04:05Z)")
	}
	return t, nil
}

// future is a time, or how long from now it is.
func (f *flags) future(name, usage string) *time.Time {
	var at time.Time
	f.fun(name, usage, func(s string) (err error) {
		if d, e := time.ParseDuration(s); e == nil {
			at = time.Now().Add(d)
			return nil
		}
		at, err = parseMoment(s, time.Now())
		if err != nil {
			err = fmt.Errorf("want how long from now (10m) or a time (2006-01-02, 2006-01-02T15:04:05Z)")
		}
		return err
	})
	return &at
}

// parse sets the flags and returns the arguments.
func (f *flags) parse(args []string) (words []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return append(words, args...), nil
		case len(arg) < 2 || arg[0] != '-' || arg[1] >= '0' && arg[1] <= '9': // a negative number is no flag
			words = append(words, arg)
			continue
		}
		args, err = f.one(arg, args)
		if err != nil {
			return nil, err
		}
	}
	return words, nil
}

// one sets the flag of arg, and returns what follows its value.
func (f *flags) one(arg string, next []string) ([]string, error) {
	name, value, has := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
	fl := f.set.Lookup(name)
	if fl == nil {
		if near := nearest(name, append(f.own, f.common...)); near != "" {
			return nil, badUse("unknown flag -%s; did you mean -%s?", name, near)
		}
		return nil, badUse("unknown flag -%s; \"platform %s -h\" lists those that there are", name, strings.Join(f.call.path, " "))
	}
	b, ok := fl.Value.(interface{ IsBoolFlag() bool })
	switch {
	case has:
	case ok && b.IsBoolFlag():
		value = "true"
	case len(next) == 0:
		return nil, badUse("-%s wants a value", name)
	default:
		value, next = next[0], next[1:]
	}
	if err := f.set.Set(name, value); err != nil {
		return nil, badUse("-%s %q: %s", name, value, want(fl, err))
	}
	return next, nil
}

// want says what is wrong with a flag's value.
func want(fl *flag.Flag, err error) string {
	if g, ok := fl.Value.(flag.Getter); ok {
		switch g.Get().(type) {
		case time.Duration:
			return "want a duration such as 30s or 5m"
		case int:
			return "want a whole number"
		case bool:
			return "want true or false"
		}
	}
	if _, ok := err.(*strconv.NumError); ok {
		return "want a whole number, 0 or more"
	}
	return err.Error()
}
