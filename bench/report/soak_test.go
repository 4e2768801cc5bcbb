package main

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSoakIsDrawn(t *testing.T) {
	const head = "seconds,heap,goroutines,files,sockets,calls,failed,faults\n"
	var rows, idle, leaking strings.Builder
	for i := range 60 {
		fmt.Fprintf(&rows, "%d.0,%d,40,20,10,%d,0,0\n", i, 8<<20, i)
		fmt.Fprintf(&idle, "%d.0,%d,40,20,0,%d,0,0\n", i, 8<<20, i)
		fmt.Fprintf(&leaking, "%d.0,%d,40,20,10,%d,0,0\n", i, 8<<20+i*i<<16, i)
	}
	for _, c := range []struct {
		name, csv string
		fails     string
		has       string
		row       string // of the table
	}{
		{name: "flat", csv: head + rows.String(), has: ">150</text>", row: "| kv | 59 (0) | 0 | 8.00, 8.00, 8.00 | 40, 40, 40 | 20, 20, 20 | 10, 10, 10 |\n"},
		{name: "without connections", csv: head + idle.String(), has: `points=""`},
		{name: "growing", csv: head + leaking.String(), has: ">200</text>", row: "| kv | 59 (0) | 0 | 14.25, 64.25, 164.25 | 40, 40, 40 | 20, 20, 20 | 10, 10, 10 |\n"},
		{name: "empty", csv: "", fails: "too few"},
		{name: "two samples", csv: head + "1,1,1,1,1,1,1,1\n2,1,1,1,1,1,1,1\n", fails: "too few"},
		{name: "three samples", csv: head + "1,1,1,1,1,1,1,1\n2,1,1,1,1,1,1,1\n3,1,1,1,1,1,1,1\n", has: ">150</text>"},
		{name: "no number", csv: head + strings.Replace(rows.String(), "40", "x", 1), fails: "invalid syntax"},
		{name: "another table", csv: strings.Replace(head, "sockets", "s", 1) + rows.String(), fails: `no column "sockets"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "kv.csv"), []byte(c.csv), 0o644); err != nil {
				t.Fatal(err)
			}
			err := drawSoak(dir)
			svg, missing := os.ReadFile(filepath.Join(dir, "kv.svg"))
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) || missing == nil {
					t.Fatalf("%v, and a plot %t; want %q and none", err, missing == nil, c.fails)
				}
				return
			}
			if err != nil || missing != nil {
				t.Fatal(err, missing)
			}
			table, err := os.ReadFile(filepath.Join(dir, "table.md"))
			if err != nil || !strings.HasSuffix(string(table), c.row) {
				t.Errorf("%v, and the table %s; want its last line to be %s", err, table, c.row)
			}
			if err := xml.Unmarshal(svg, new(struct{})); err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(svg), "<polyline"); n != 4 || !strings.Contains(string(svg), c.has) {
				t.Fatalf("%d lines, want 4, and %q:\n%s", n, c.has, svg)
			}
		})
	}
	if err := drawSoak(t.TempDir()); err == nil {
		t.Error("a folder without samples is drawn")
	}
}
