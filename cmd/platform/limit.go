package main

import "context"

// limit is that of a list.
type limit struct {
	c    *call
	most int // 0: none
	ask  int // how many to ask for: one more, to know whether there are more; 0: all
	seen int
}

// limit is the flag of how many are listed at the most. 0 is all.
func (f *flags) limit(def int, usage string) *int {
	f.most = f.int("limit", def, usage)
	return f.most
}

func (c *call) limit(most int) *limit {
	l := &limit{c: c, most: most}
	if most > 0 {
		l.ask = most + 1
	}
	return l
}

// next reports whether one more is to be listed.
func (l *limit) next() bool {
	l.seen++
	return l.most == 0 || l.seen <= l.most
}

// end ends a list, and says whether there are more.
func (l *limit) end(out *table, none string) error {
	if err := out.end("%s", none); err != nil {
		return err
	}
	l.note()
	return nil
}

// note says that there are more.
func (l *limit) note() {
	if l.most > 0 && l.seen > l.most {
		l.c.note("… more than %d; -limit 0 lists all", l.most)
	}
}

// arg returns argument i, or "".
func (c *call) arg(i int) string {
	if i < len(c.args) {
		return c.args[i]
	}
	return ""
}

// waiting says why what is followed says nothing for the time being.
func (c *call) waiting(err error) { c.complain("%s; waiting", oneLine(err.Error())) }

// ended is the result of what has followed something until now: Ctrl-C is no
// failure.
func ended(ctx context.Context) error {
	if ctx.Err() != nil {
		return nil
	}
	return &failure{exitUnavailable, "the backend has ended the watch"}
}
