package main

import (
	"encoding/xml"
	"math"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

func TestResultsAreReadAsTheyWereWritten(t *testing.T) {
	cores := strconv.Itoa(runtime.GOMAXPROCS(0))
	get, ok1 := parse("BenchmarkRedis/Get/8-" + cores + "         	       1	     10623 go-redis-ns	      7995 kv-ns	         0.7526 x-go-redis")
	_, ok2 := parse("    redis_test.go:61:  8 callers:  kv 7995 ns")
	_, ok3 := parse("ok  	github.com/micro/go-platform/bench/kv	11.962s")
	if !ok1 || ok2 || ok3 || get.name != "Redis/Get/8" || get.metrics["kv-ns"] != 7995 || get.metrics["x-go-redis"] != .7526 {
		t.Fatalf("got %v, %v %v %v", get, ok1, ok2, ok3)
	}
	all := map[string]section{"kv": {"kv", "Go, a machine.", []result{get}}, "log": {"log", "Go, another.", []result{{"Text", map[string]float64{"ns/op": 12.5, "allocs/op": 0}}}}}
	if got := read(write(all)); !reflect.DeepEqual(got, all) {
		t.Errorf("got %v\nwant %v", got, all)
	}
}

func TestPlotsAreXML(t *testing.T) {
	p := plot{title: "a < b", x: "x", y: "y", xs: []float64{1, 2}, xLabel: number, lines: []line{{"one", []float64{1, 2}, true}, {"two", []float64{math.NaN(), 2}, false}}, high: 2, ticks: []float64{0, 1, 2}}
	got := p.svg()
	if err := xml.Unmarshal([]byte(got), new(struct{})); err != nil || !strings.Contains(got, "a &lt; b") || strings.Contains(got, "NaN") {
		t.Errorf("%v: %s", err, got)
	}
	for i, a := range p.labels() {
		for j, b := range p.labels() {
			if i < j && math.Abs(a-b) < 14 {
				t.Errorf("the names of lines %d and %d overlap: %v, %v", i, j, a, b)
			}
		}
	}
}

func TestBarsAreAsLongAsTheirFigures(t *testing.T) {
	all := map[string]section{"kv": {"kv", "", []result{{"Get/8", map[string]float64{"b-ns": 50, "ours-ns": 100, "other-ns": 7}}}}}
	contenders := []contender{{"ours-ns", "kv < ours"}, {"a-ns", "a"}, {"b-ns", "b"}}
	for _, c := range []struct {
		log    bool
		widths []string
	}{{false, []string{"460.0", "230.0"}}, {true, []string{"460.0", "321.5"}}} { // 100 and 50 from 10 on: log 5 over log 10
		p := bars{title: "t", unit: "ns", log: c.log, groups: from(all, contenders, measured{"Get", "kv", "Get/8"}, measured{"Put", "kv", "Put/8"})}.ordered()
		got := p.svg()
		if err := xml.Unmarshal([]byte(got), new(struct{})); err != nil || !strings.Contains(got, "kv &lt; ours") || strings.Contains(got, "Put") {
			t.Errorf("%v: %s", err, got)
		}
		rects := strings.Split(got, "<rect ")[1:]
		if len(rects) != len(c.widths) {
			t.Fatalf("%d bars, want %d: %s", len(rects), len(c.widths), got)
		}
		for i, r := range rects {
			if !strings.Contains(r, `width="`+c.widths[i]+`"`) {
				t.Errorf("log %v: bar %d is %s, want a width of %s", c.log, i, r, c.widths[i])
			}
		}
	}
	if got := (bars{title: "t", groups: from(nil, contenders, measured{"Get", "kv", "Get/8"})}).svg(); got != "" {
		t.Errorf("a drawing of nothing: %s", got)
	}
}

// What the page shows is what the command draws, all of it, and is there.
func TestThePageHasTheTenFigures(t *testing.T) {
	page, err := os.ReadFile("../figures.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := strings.Count(string(page), "](plots/")
	if all := figures(); len(all) != 10 || shown != len(all) {
		t.Errorf("%d figures are drawn and %d are shown, want ten", len(all), shown)
	}
	for name := range figures() {
		if !strings.Contains(string(page), "](plots/"+name+".svg)") {
			t.Errorf("the page does not show %s", name)
		}
		if _, err := os.Stat("../plots/" + name + ".svg"); err != nil {
			t.Error(err)
		}
	}
}
