package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table prints rows: aligned below a headline for people, with tabs between for
// scripts, as JSON values for programs.
type table struct {
	c    *call
	head []string
	rows [][]any // cells: painted, or what fmt.Sprint makes text of
	n    int
}

func (c *call) table(head ...string) *table { return &table{c: c, head: head} }

// row adds one row, which is v in JSON.
func (t *table) row(v any, cells ...any) error {
	t.n++
	switch {
	case t.c.isJSON():
		return t.c.json(v)
	case t.c.isTable():
		t.rows = append(t.rows, cells)
		return nil
	}
	fields := make([]string, len(cells))
	for i, cell := range cells {
		fields[i] = field(plain(cell))
	}
	_, err := fmt.Fprintln(t.c.out, strings.Join(fields, "\t"))
	return err
}

// end prints what has to be aligned. Without a row it says to a person that there
// is none.
func (t *table) end(none string, args ...any) error {
	if !t.c.isTable() {
		return nil
	}
	if len(t.rows) == 0 {
		t.c.note(none, args...)
		return nil
	}
	colors := t.c.colors(t.c.outTerminal)
	texts := make([][]string, len(t.rows))
	widths := make([]int, len(t.head))
	for i, h := range t.head {
		widths[i] = utf8.RuneCountInString(h)
	}
	for i, row := range t.rows {
		texts[i] = make([]string, len(row))
		for j, cell := range row {
			texts[i][j] = cut(printable(plain(cell)), t.longest(j))
			widths[j] = max(widths[j], utf8.RuneCountInString(texts[i][j]))
		}
	}
	var b strings.Builder
	t.line(&b, widths, t.head, func(_ int, s string) string {
		if colors {
			return dim.paint(s)
		}
		return s
	})
	for i, row := range t.rows {
		t.line(&b, widths, texts[i], func(j int, s string) string {
			if p, ok := row[j].(painted); ok && colors {
				return p.color.paint(s)
			}
			return s
		})
	}
	_, err := io.WriteString(t.c.out, b.String())
	return err
}

// longest is how many characters a cell of a column shows: the last one what is
// left of the line.
func (t *table) longest(column int) int {
	if column == len(t.head)-1 || !t.c.outTerminal {
		return 1 << 20
	}
	return max(20, t.c.width/2)
}

func (t *table) line(b *strings.Builder, widths []int, cells []string, paint func(int, string) string) {
	left := t.c.width
	for j, s := range cells {
		last := j == len(cells)-1
		if last {
			if t.c.outTerminal {
				s = cut(s, max(10, left))
			}
			b.WriteString(strings.TrimRight(paint(j, s), " "))
			break
		}
		pad := widths[j] - utf8.RuneCountInString(s) + 2
		b.WriteString(paint(j, s) + strings.Repeat(" ", pad))
		left -= widths[j] + 2
	}
	b.WriteByte('\n')
}

// plain is a cell's text.
func plain(cell any) string {
	switch v := cell.(type) {
	case painted:
		return v.text
	case string:
		return v
	case []byte:
		return string(v)
	}
	return fmt.Sprint(cell)
}

// line prints one row at once, for what has no end: each cell after the other.
func (c *call) line(v any, cells ...any) error {
	if c.isJSON() {
		return c.json(v)
	}
	out := make([]string, 0, len(cells))
	for _, cell := range cells {
		if !c.isTable() {
			out = append(out, field(plain(cell)))
			continue
		}
		s := printable(plain(cell))
		if s == "" {
			continue
		}
		if p, ok := cell.(painted); ok && c.colors(c.outTerminal) {
			s = p.color.paint(s)
		}
		out = append(out, s)
	}
	sep := "\t"
	if c.isTable() {
		sep = "  "
	}
	_, err := fmt.Fprintln(c.out, strings.Join(out, sep))
	return err
}
