package auth

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The cache keeps what a list that is sorted by use keeps.
func TestTheLeastRecentlyUsedGoes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1, 2, 5} {
		c, values := newLRU[int, int](size), map[int]int{}
		var recent []int // the newest last
		used := func(k int) {
			recent = append(slices.DeleteFunc(recent, func(x int) bool { return x == k }), k)
			if len(recent) > size {
				delete(values, recent[0])
				recent = recent[1:]
			}
		}
		for i := range 5000 {
			k := rnd.IntN(2 * size)
			want, there := values[k]
			switch rnd.IntN(4) {
			case 0:
				if got, ok := c.get(k); ok != there || got != want {
					t.Fatalf("size %d, step %d: get %d = %d, %t, want %d, %t", size, i, k, got, ok, want, there)
				}
				if there {
					used(k)
				}
			case 1:
				c.put(k, i)
				values[k] = i
				used(k)
			case 2:
				if !there {
					want = i
				}
				if got := c.getOrPut(k, func() int { return i }); got != want {
					t.Fatalf("size %d, step %d: getOrPut %d = %d, want %d", size, i, k, got, want)
				}
				values[k] = want
				used(k)
			case 3:
				c.delete(k)
				delete(values, k)
				recent = slices.DeleteFunc(recent, func(x int) bool { return x == k })
			}
			if len(c.m) != len(recent) {
				t.Fatalf("size %d, step %d: %d entries, want %d", size, i, len(c.m), len(recent))
			}
		}
	}
}

// A revocation is forgotten when nobody takes its token any more, and when there
// are too many: those that end first.
func TestRevocationsAreForgotten(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	has := func(d *denials, id string) bool { return d.has(&Token{ID: id}, hash{}) }
	for _, c := range []struct {
		name          string
		expires       time.Time
		until         time.Duration // since the start
		rememberedYet bool
	}{
		{"of an hour, to its last moment", start.Add(time.Hour), time.Hour + MaxLeeway - 1, true},
		{"of an hour, at its end", start.Add(time.Hour), time.Hour + MaxLeeway, false},
		{"without an end", time.Time{}, unknownLife + MaxLeeway - 1, true},
		{"without an end, after a day", time.Time{}, unknownLife + MaxLeeway, false},
		{"of a year", start.Add(365 * 24 * time.Hour), unknownLife + MaxLeeway, true},
		{"of more than a year, after a day", start.Add(365*24*time.Hour + 1), unknownLife + MaxLeeway, false},
		{"of the past", start.Add(-time.Hour), 0, false},
	} {
		d := &denials{}
		if has(d, "a") {
			t.Error("revoked from the start")
		}
		d.add(Revocation{ID: "a", Expires: c.expires}, start)
		d.add(Revocation{ID: "another", Expires: start.Add(5 * 365 * 24 * time.Hour)}, start.Add(c.until))
		if has(d, "a") != c.rememberedYet || !has(d, "another") {
			t.Errorf("%s: remembered %t after %s, want %t", c.name, has(d, "a"), c.until, c.rememberedYet)
		}
		if want := map[bool]int64{true: 2, false: 1}[c.rememberedYet]; d.n.Load() != want || len(d.by) != int(want) {
			t.Errorf("%s: %d of %d are counted, want %d", c.name, d.n.Load(), len(d.by), want)
		}
	}
	const most = 100
	d := &denials{size: most}
	for i := range most {
		d.add(Revocation{ID: fmt.Sprint(i), Expires: start.Add(time.Hour + time.Duration(most-i))}, start)
	}
	last := fmt.Sprint(most - 1) // which ends first
	if len(d.m) != most || !has(d, last) {
		t.Errorf("%d are remembered, want %d", len(d.m), most)
	}
	d.add(Revocation{ID: "one too many", Expires: start.Add(2 * time.Hour)}, start)
	if len(d.m) != most || has(d, last) || !has(d, "0") || !has(d, "one too many") {
		t.Errorf("%d are remembered, want %d without the one that ends first", len(d.m), most)
	}
	again := &denials{}
	for range 3 {
		again.add(Revocation{ID: "a", Issuer: "i", Hash: make([]byte, 32)}, start)
	}
	if len(again.by) != 2 {
		t.Errorf("a revocation that is repeated is remembered %d times, want twice: by id and by hash", len(again.by))
	}
	again.add(Revocation{Hash: make([]byte, 31)}, start)
	if len(again.by) != 2 || again.has(&Token{ID: "a", Issuer: "j"}, hash{1}) || !again.has(&Token{ID: "a", Issuer: "i"}, hash{1}) || !again.has(&Token{}, hash{}) || again.has(&Token{}, hash{1}) {
		t.Error("an id counts with its issuer, and a hash if it is one")
	}
}
