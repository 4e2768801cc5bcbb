package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// plot is a few lines over a common axis.
type plot struct {
	title, x, y string
	xs          []float64 // evenly spaced, whatever they are
	xLabel      func(float64) string
	lines       []line
	log         bool // the y axis
	low, high   float64
	ticks       []float64
}

type line struct {
	name string
	ys   []float64 // NaN: none
	bold bool
}

const (
	width, height            = 720, 380
	left, right, top, bottom = 64, 150, 44, 48
)

// The colours are readable on white and on black.
var colours = []string{"#5b66e0", "#d9822b", "#2a9d8f", "#c2447a", "#8a7a2f", "#7a8290"}

// header begins a drawing, in the colours of the reader's theme.
func header(width, height, x int, title string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">
<style>
svg { font: 13px system-ui, sans-serif; background: #fff } text { fill: #333 } .t { font-weight: 600; font-size: 15px } .h { font-weight: 600 } .g { stroke: #ddd } .s { fill: #666; font-size: 12px }
@media (prefers-color-scheme: dark) { svg { background: #0d1117 } text { fill: #ddd } .g { stroke: #333 } .s { fill: #999 } }
polyline { fill: none; stroke-width: 1.8; stroke-linejoin: round } .b { stroke-width: 3.2 }
</style>
<text class="t" x="%d" y="24">%s</text>
`, width, height, html.EscapeString(title), x, html.EscapeString(title))
}

// svg draws the plot; nothing with fewer than two points.
func (p plot) svg() string {
	if len(p.xs) < 2 {
		return ""
	}
	var b strings.Builder
	b.WriteString(header(width, height, left, p.title))
	for _, tick := range p.ticks {
		y := p.at(tick)
		fmt.Fprintf(&b, `<line class="g" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text class="s" x="%d" y="%.1f" text-anchor="end">%s</text>
`, left, width-right, y, y, left-8, y+4, number(tick))
	}
	for i, x := range p.xs {
		fmt.Fprintf(&b, `<text class="s" x="%.1f" y="%d" text-anchor="middle">%s</text>
`, p.across(i), height-bottom+20, p.xLabel(x))
	}
	fmt.Fprintf(&b, `<text class="s" x="%d" y="%d" text-anchor="middle">%s</text><text class="s" x="%d" y="%d">%s</text>
`, (left+width-right)/2, height-8, html.EscapeString(p.x), left, top-4, html.EscapeString(p.y))
	labels := p.labels()
	for i, l := range p.lines {
		var points []string
		for j, y := range l.ys {
			if !math.IsNaN(y) && y <= p.high {
				points = append(points, fmt.Sprintf("%.1f,%.1f", p.across(j), p.at(y)))
			}
		}
		class := ""
		if l.bold {
			class = ` class="b"`
		}
		colour := colours[i%len(colours)]
		fmt.Fprintf(&b, `<polyline%s stroke="%s" points="%s"/><text x="%d" y="%.1f" style="fill: %s">%s</text>
`, class, colour, strings.Join(points, " "), width-right+10, labels[i]+4, colour, html.EscapeString(l.name))
	}
	return b.String() + "</svg>\n"
}

func (p plot) across(i int) float64 {
	return left + float64(i)*float64(width-left-right)/float64(len(p.xs)-1)
}

func (p plot) at(y float64) float64 {
	share := (y - p.low) / (p.high - p.low)
	if p.log {
		share = math.Log(y/p.low) / math.Log(p.high/p.low)
	}
	return float64(height-bottom) - share*float64(height-top-bottom)
}

// labels are the heights of the lines' names, beside their ends and apart from
// each other.
func (p plot) labels() []float64 {
	out := make([]float64, len(p.lines))
	for i, l := range p.lines {
		out[i] = top
		if last := l.ys[len(l.ys)-1]; !math.IsNaN(last) && last <= p.high {
			out[i] = p.at(last)
		}
	}
	for range 100 { // push apart what is too near
		for i := range out {
			for j := range out {
				if d := out[j] - out[i]; i != j && math.Abs(d) < 16 && (d > 0 || d == 0 && j > i) {
					out[j], out[i] = min(out[j]+1, height-bottom), out[i]-1
				}
			}
		}
	}
	return out
}

func number(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%gk", v/1e3)
	}
	return fmt.Sprintf("%g", v)
}
