package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// drawSoak draws the samples that "make soak SOAK_OUT=dir" left in dir: a plot
// beside each CSV file, and the figures of all in table.md.
func drawSoak(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no CSV files in %q", dir)
	}
	var failed []error
	table := "| load | calls (failed) | faults | memory, MB | goroutines | descriptors | connections |\n|---|---|---|---|---|---|---|\n"
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".csv")
		columns, err := samples(file)
		if err == nil {
			table += soakRow(name, columns)
			err = os.WriteFile(filepath.Join(dir, name+".svg"), []byte(held(name, columns).svg()), 0o644)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", file, err))
		}
	}
	return errors.Join(errors.Join(failed...), os.WriteFile(filepath.Join(dir, "table.md"), []byte(table), 0o644))
}

// samples reads the columns of a CSV file.
func samples(file string) (map[string][]float64, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) < 4 {
		return nil, fmt.Errorf("%d lines are too few", len(rows))
	}
	columns := map[string][]float64{}
	for i, name := range rows[0] {
		for _, row := range rows[1:] {
			v, err := strconv.ParseFloat(row[i], 64)
			if err != nil {
				return nil, err
			}
			columns[name] = append(columns[name], v)
		}
	}
	for _, name := range []string{"seconds", "heap", "goroutines", "files", "sockets", "calls", "failed", "faults"} {
		if columns[name] == nil {
			return nil, fmt.Errorf("no column %q", name)
		}
	}
	return columns, nil
}

// soakRow is a load's line of the table: what it held as the medians of the three
// thirds of the run.
func soakRow(name string, columns map[string][]float64) string {
	last := func(column string) float64 { return columns[column][len(columns[column])-1] }
	thirds := func(column string, unit float64, digits int) string {
		ys := columns[column]
		third := len(ys) / 3
		return fmt.Sprintf("%.*f, %.*f, %.*f", digits, median(ys[:third])/unit, digits, median(ys[third:2*third])/unit, digits, median(ys[2*third:])/unit)
	}
	return fmt.Sprintf("| %s | %.0f (%.0f) | %.0f | %s | %s | %s | %s |\n", strings.ReplaceAll(name, "-", " "), last("calls"), last("failed"), last("faults"),
		thirds("heap", 1<<20, 2), thirds("goroutines", 1, 0), thirds("files", 1, 0), thirds("sockets", 1, 0))
}

// held is what the process held over time, as shares of the middle third's
// medians, with which the test compares the last third.
func held(name string, columns map[string][]float64) plot {
	title := strings.ReplaceAll(name, "-", " ") + " under load"
	if faults := columns["faults"]; faults[len(faults)-1] > 0 {
		title += ", on a network that breaks"
	}
	p := plot{title: title, x: "seconds", y: "% of the median of the middle third", xs: columns["seconds"], high: 150}
	labelled := map[float64]bool{}
	for i := 0; i < len(p.xs); i += max(1, len(p.xs)/8) {
		labelled[p.xs[i]] = true
	}
	p.xLabel = func(x float64) string {
		if !labelled[x] {
			return ""
		}
		return fmt.Sprintf("%.0f", x)
	}
	for _, c := range []struct{ column, name string }{{"heap", "memory"}, {"goroutines", "goroutines"}, {"files", "file descriptors"}, {"sockets", "connections"}} {
		ys := columns[c.column]
		usual := median(ys[len(ys)/3 : 2*len(ys)/3])
		l := line{name: c.name, bold: c.column == "heap"}
		for _, y := range ys {
			share := 100 * y / usual
			if usual == 0 { // no connections, say
				share = math.NaN()
			} else {
				p.high = max(p.high, 50*math.Ceil(share/50))
			}
			l.ys = append(l.ys, share)
		}
		p.lines = append(p.lines, l)
	}
	for tick := 0.0; tick <= p.high; tick += 50 * max(1, math.Floor(p.high/400)) {
		p.ticks = append(p.ticks, tick)
	}
	return p
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
