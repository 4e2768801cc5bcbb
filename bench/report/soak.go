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
// beside each CSV file.
func drawSoak(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no CSV files in %q", dir)
	}
	var failed []error
	for _, file := range files {
		p, err := held(file)
		if err == nil {
			err = os.WriteFile(strings.TrimSuffix(file, ".csv")+".svg", []byte(p.svg()), 0o644)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", file, err))
		}
	}
	return errors.Join(failed...)
}

// held is what the process held over time, as shares of the middle third's
// medians, with which the test compares the last third.
func held(file string) (plot, error) {
	f, err := os.Open(file)
	if err != nil {
		return plot{}, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return plot{}, err
	}
	if len(rows) < 4 {
		return plot{}, fmt.Errorf("%d lines are too few", len(rows))
	}
	columns := map[string][]float64{}
	for i, name := range rows[0] {
		for _, row := range rows[1:] {
			v, err := strconv.ParseFloat(row[i], 64)
			if err != nil {
				return plot{}, err
			}
			columns[name] = append(columns[name], v)
		}
	}
	name := strings.TrimSuffix(filepath.Base(file), ".csv")
	p := plot{title: name + " under load, on a network that breaks", x: "seconds", y: "% of the median of the middle third", xs: columns["seconds"], high: 150}
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
		if len(ys) == 0 {
			return plot{}, fmt.Errorf("no column %q", c.column)
		}
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
	return p, nil
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
