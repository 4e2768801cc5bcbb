package redis_test

import (
	"slices"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/internal/servertest"
	goredis "github.com/redis/go-redis/v9"
)

// TestNamesThatNobodyUsesLeaveTheIndex: what has no instance and was not heard
// of for a day. Else each Services asked for all names that there ever were.
func TestNamesThatNobodyUsesLeaveTheIndex(t *testing.T) {
	t.Parallel()
	server := servertest.SharedRedis(t)
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer admin.Close()
	d, err := discovery.New(redis.Backend(server.Addr()), discovery.WithTimeout(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	const index = "discovery:services"
	base := servertest.Namespace(t)
	live := base + "-live"
	if _, err := d.Register(t.Context(), discovery.Instance{Service: live, Address: "127.0.0.1:1"}, discovery.NoHeartbeat(), discovery.TTL(time.Minute)); err != nil {
		t.Fatal(err)
	}
	day := time.Now().Add(-24 * time.Hour)
	stays := map[string]bool{live: true, base + "-young": true, base + "-old": false}
	for name, heard := range map[string]time.Time{live: day.Add(-time.Hour), base + "-young": day.Add(time.Minute), base + "-old": day.Add(-time.Minute)} {
		if err := admin.ZAdd(t.Context(), index, goredis.Z{Score: float64(heard.Unix()), Member: name}).Err(); err != nil {
			t.Fatal(err)
		}
		defer admin.ZRem(t.Context(), index, name)
	}
	names, err := d.Services(t.Context())
	if err != nil || !slices.Contains(names, live) || slices.Contains(names, base+"-young") || slices.Contains(names, base+"-old") {
		t.Errorf("Services: %v, %v, want %s of them alone", names, err, live)
	}
	for name, want := range stays {
		_, err := admin.ZScore(t.Context(), index, name).Result()
		if there := err == nil; there != want {
			t.Errorf("%s is in the index: %v (%v), want %v", name, there, err, want)
		}
	}
}
