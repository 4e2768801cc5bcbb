package main

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// bars compares contenders in groups, one bar for each figure.
type bars struct {
	title, unit string
	log         bool // bars begin at a power of ten below the least
	groups      []group
}

type group struct {
	name string
	bars []bar
}

// bar is the figure of one contender.
type bar struct {
	name  string
	value float64
	ours  bool
}

const (
	barLeft, barRight = 170, 90 // room for names and for figures
	barHeight         = 19
	groupHeight       = 30
)

// svg draws the bars, in the colours of the reader's theme; nothing without any.
func (p bars) svg() string {
	if len(p.groups) == 0 {
		return ""
	}
	high := top + 10
	for _, g := range p.groups {
		high += groupHeight + barHeight*len(g.bars)
	}
	var b strings.Builder
	b.WriteString(header(width, high, left/4, p.title))
	scale := p.unit
	if p.log {
		scale += ", logarithmic"
	}
	fmt.Fprintf(&b, `<text class="s" x="%d" y="%d">%s</text>
`, left/4, top-2, html.EscapeString(scale))
	low, most := p.bounds()
	y := top
	for _, g := range p.groups {
		y += groupHeight
		fmt.Fprintf(&b, `<text class="h" x="%d" y="%d">%s</text>
`, left/4, y-8, html.EscapeString(g.name))
		for _, one := range g.bars {
			long := math.Max(1, p.share(one.value, low, most)*float64(width-barLeft-barRight))
			colour := colours[len(colours)-1]
			if one.ours {
				colour = colours[0]
			}
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/><text class="s" x="%.1f" y="%d">%s</text>
`, barLeft-8, y+13, html.EscapeString(one.name), barLeft, y+2, long, barHeight-5, colour, barLeft+long+6, y+13, short(one.value))
			y += barHeight
		}
	}
	return b.String() + "</svg>\n"
}

// bounds are the values of an empty and of a full bar.
func (p bars) bounds() (low, high float64) {
	low = math.Inf(1)
	for _, g := range p.groups {
		for _, one := range g.bars {
			low, high = min(low, one.value), max(high, one.value)
		}
	}
	if !p.log {
		return 0, high
	}
	return math.Pow(10, math.Floor(math.Log10(low)-.3)), high
}

func (p bars) share(v, low, high float64) float64 {
	if p.log {
		return math.Log(v/low) / math.Log(high/low)
	}
	return v / high
}

// short writes three digits of a figure, with thousands and millions as letters.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return digitsOf(v/1e6) + " M"
	case v >= 1e4:
		return digitsOf(v/1e3) + " k"
	}
	return digitsOf(v)
}

func digitsOf(v float64) string {
	decimals := max(0, 2-int(math.Floor(math.Log10(max(v, 1)))))
	return fmt.Sprintf("%.*f", decimals, v)
}

// measured is one group of bars: a benchmark, and the name of its group.
type measured struct {
	name, section, benchmark string
}

// contender says under which unit a benchmark reports whom. The first is ours.
type contender struct {
	unit, name string
}

// from takes the bars out of what was measured, group by group, and leaves out
// who does not take part in one.
func from(all map[string]section, contenders []contender, groups ...measured) (out []group) {
	for _, m := range groups {
		i := slices.IndexFunc(all[m.section].results, func(r result) bool { return r.name == m.benchmark })
		if i < 0 {
			continue // not measured yet
		}
		g := group{name: m.name}
		for k, c := range contenders {
			if v, ok := all[m.section].results[i].metrics[c.unit]; ok {
				g.bars = append(g.bars, bar{c.name, v, k == 0})
			}
		}
		out = append(out, g)
	}
	return out
}

// ordered puts the contenders of each group behind ours by their figures.
func (p bars) ordered() bars {
	for _, g := range p.groups {
		slices.SortStableFunc(g.bars, func(a, b bar) int {
			if a.ours != b.ours {
				return map[bool]int{true: -1, false: 1}[a.ours]
			}
			return cmp.Compare(a.value, b.value)
		})
	}
	return p
}
