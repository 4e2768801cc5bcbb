package cache

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const tick = 1 << tickBits

// told keeps what Removed is told.
type told struct{ all []string }

func (o *told) removed(key string, v int, why Reason) {
	o.all = append(o.all, fmt.Sprint(key, v, map[Reason]string{Evicted: "evicted", Expired: "expired"}[why]))
}

// A life is what the last write says, wherever the wheel has the entry; one that is over
// is told once.
func TestTheLastWriteSaysWhenALifeEnds(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(c *Cache[int])
		told string
		left int
	}{
		"as it was":            {func(*Cache[int]) {}, "a1expired", 0},
		"without end":          {func(c *Cache[int]) { set(c, "a", 2, 0, 0) }, "", 1},
		"kept":                 {func(c *Cache[int]) { set(c, "a", 2, 0, -1) }, "a2expired", 0},
		"a longer one":         {func(c *Cache[int]) { set(c, "a", 2, 0, time.Hour) }, "", 1},
		"removed":              {func(c *Cache[int]) { remove(c, "a") }, "", 0},
		"removed, and again":   {func(c *Cache[int]) { remove(c, "a"); set(c, "a", 2, 0, 0) }, "", 1},
		"with one in its slot": {func(c *Cache[int]) { set(c, "b", 1, 0, 62*tick); remove(c, "a") }, "b1expired", 0},
		"a later one beside":   {func(c *Cache[int]) { set(c, "b", 1, 0, time.Hour) }, "a1expired", 1},
		"an earlier one beside": {func(c *Cache[int]) { set(c, "b", 1, 0, 10*tick) },
			"b1expired a1expired", 0},
	} {
		for _, life := range []time.Duration{62 * tick, 61 * tick, 200 * tick} { // slot 0, another, another level
			synctest.Test(t, func(t *testing.T) {
				var o told
				cache := New(Config[int]{Removed: o.removed})
				defer cache.Close()
				time.Sleep(2 * tick)
				set(cache, "a", 1, 0, life)
				c.do(cache)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if got := strings.Join(o.all, " "); got != c.told {
					t.Errorf("%s, %v: told %q, want %q", name, life, got, c.told)
				}
				if n := cache.Len(); n != c.left {
					t.Errorf("%s, %v: %d are left, want %d", name, life, n, c.left)
				}
			})
		}
	}
}

// One whose life is shorter than that of those before is removed on time too.
func TestAShorterLifeWakesTheSweeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o told
		c := New(Config[int]{Removed: o.removed})
		defer c.Close()
		set(c, "long", 1, 0, time.Hour)
		synctest.Wait()
		set(c, "short", 1, 0, time.Second)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := c.Len(); n != 1 || len(o.all) != 1 {
			t.Errorf("%d are left, told %q", n, o.all)
		}
		set(c, "again", 1, 0, time.Second)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := c.Len(); n != 1 || len(o.all) != 2 {
			t.Errorf("then %d are left, told %q", n, o.all)
		}
		set(c, "short", 1, 0, time.Second) // in a shard that was swept
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := c.Len(); n != 1 || len(o.all) != 3 {
			t.Errorf("at last %d are left, told %q", n, o.all)
		}
	})
}

// Update is told what is there and how long it lives, and never what is over, also
// where nobody sweeps any more.
func TestUpdateIsToldWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o told
		c := New(Config[int]{Removed: o.removed})
		set(c, "lives", 1, 0, time.Minute)
		set(c, "stays", 2, 0, 0)
		c.Close()
		then := 0
		see := func(key string) (got string) {
			c.Update(key, func(v int, life time.Duration, ok bool) Change[int] {
				got = fmt.Sprint(v, life, ok)
				return Change[int]{Then: func() { then++ }}
			})
			return got
		}
		want := func(key, want string) {
			t.Helper()
			if got := see(key); got != want {
				t.Errorf("%s: %s, want %s", key, got, want)
			}
		}
		got := func(key string) string {
			v, life, ok := c.Get(key)
			return fmt.Sprint(v, life, ok)
		}
		time.Sleep(time.Minute - 1)
		want("lives", "1 1ns true")
		if got("lives") != "1 1ns true" || got("stays") != "2 0s true" {
			t.Errorf("Get: %s, %s", got("lives"), got("stays"))
		}
		want("stays", "2 0s true")
		want("nothing", "0 0s false")
		time.Sleep(time.Nanosecond)
		if got("lives") != "0 0s false" || got("stays") != "2 0s true" {
			t.Errorf("Get, later: %s, %s", got("lives"), got("stays"))
		}
		want("lives", "0 0s false")
		want("stays", "2 0s true")
		if then != 5 || c.Len() != 1 || len(o.all) != 1 {
			t.Errorf("Then came %d times of 5, %d are left, told %q", then, c.Len(), o.all)
		}
	})
}

func TestMaxSize(t *testing.T) {
	for most, want := range map[int64]int64{0: 1 << 62, -1: 1 << 62, 1: 0, 8 * Overhead: 0, 8*Overhead + 8: 1, 8 * (Overhead + 1000): 1000} {
		if got := New(Config[int]{MaxBytes: most}).MaxSize(); got != want {
			t.Errorf("of %d bytes: %d, want %d", most, got, want)
		}
	}
}
