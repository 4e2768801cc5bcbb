package auth

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
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
	const year = 365 * 24 * time.Hour
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
		{"without an end", time.Time{}, 100 * year, true},
		{"of two years, to its last moment", start.Add(2 * year), 2*year + MaxLeeway - 1, true},
		{"of two years, at its end", start.Add(2 * year), 2*year + MaxLeeway, false},
		{"of the past", start.Add(-time.Hour), 0, false},
	} {
		d := &denials{}
		if has(d, "a") {
			t.Error("revoked from the start")
		}
		d.add(Revocation{ID: "a", Expires: c.expires}, start)
		d.add(Revocation{ID: "another", Expires: start.Add(200 * year)}, start.Add(c.until))
		if has(d, "a") != c.rememberedYet || !has(d, "another") {
			t.Errorf("%s: remembered %t after %s, want %t", c.name, has(d, "a"), c.until, c.rememberedYet)
		}
		if want := map[bool]int64{true: 2, false: 1}[c.rememberedYet]; d.n.Load() != want || len(d.by)+len(d.endless) != int(want) {
			t.Errorf("%s: %d of %d are counted, want %d", c.name, d.n.Load(), len(d.by)+len(d.endless), want)
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
	if n := d.add(Revocation{ID: "endless"}, start); n != 0 || len(d.m) != most+1 {
		t.Errorf("one without an end made %d forgotten", n)
	}
	for i := range most {
		if n := d.add(Revocation{ID: fmt.Sprint("endless", i)}, start); n != map[bool]int{true: 1}[i == most-1] {
			t.Errorf("%d without an end, of at most %d: %d forgotten", i+2, most, n)
		}
	}
	if len(d.m) != 2*most || has(d, "endless") || !has(d, "endless0") || !has(d, "0") {
		t.Errorf("%d are remembered, want %d without the oldest of those without an end", len(d.m), 2*most)
	}
	for _, size := range []int{longID - 1, longID, longID + 1} {
		d, id := &denials{}, strings.Repeat("a", size)
		d.add(Revocation{ID: id}, start)
		if !has(d, id) || has(d, id[1:]) || has(d, id+"a") || d.has(&Token{Issuer: "a", ID: id[1:]}, hash{}) {
			t.Errorf("an id of %d bytes is not the only one that was revoked", size)
		}
		for k := range d.m {
			if len(k.id) >= longID {
				t.Errorf("an id of %d bytes is kept", len(k.id))
			}
		}
	}
	later := &denials{}
	later.add(Revocation{ID: "a", Expires: start.Add(time.Hour)}, start)
	later.add(Revocation{ID: "a", Expires: start.Add(3 * time.Hour)}, start)
	later.add(Revocation{ID: "a", Expires: start.Add(2 * time.Hour)}, start)
	if n := later.add(Revocation{ID: "b", Expires: start.Add(year)}, start.Add(3*time.Hour)); n != 0 || !has(later, "a") {
		t.Error("a revocation is forgotten before its token has ended, because another said an earlier end")
	}
	if later.add(Revocation{ID: "b"}, start.Add(3*time.Hour+MaxLeeway)); has(later, "a") || !has(later, "b") {
		t.Error("a revocation that was repeated is remembered after its token has ended")
	}
	if later.add(Revocation{ID: "c"}, start.Add(2*year)); !has(later, "b") || later.n.Load() != 2 {
		t.Error("a revocation without an end is forgotten, because another said one")
	}
	again := &denials{}
	for range 3 {
		again.add(Revocation{ID: "a", Issuer: "i", Hash: make([]byte, 32)}, start)
	}
	if len(again.endless) != 2 {
		t.Errorf("a revocation that is repeated is remembered %d times, want twice: by id and by hash", len(again.endless))
	}
	again.add(Revocation{Hash: make([]byte, 31)}, start)
	if len(again.endless) != 2 || again.has(&Token{ID: "a", Issuer: "j"}, hash{1}) || !again.has(&Token{ID: "a", Issuer: "i"}, hash{1}) || !again.has(&Token{}, hash{}) || again.has(&Token{}, hash{1}) {
		t.Error("an id counts with its issuer, and a hash if it is one")
	}
}
