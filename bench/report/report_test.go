package main

import (
	"encoding/xml"
	"math"
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
