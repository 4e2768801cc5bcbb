package elastic_test

import (
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/dbtest"
	"github.com/micro/go-platform/db/elastic"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// TestOpenSearch has all that needs a server, which takes long to start.
func TestOpenSearch(t *testing.T) {
	server := servertest.OpenSearch(t)
	for name, refresh := range map[string]elastic.Refresh{"RefreshSearches": elastic.RefreshSearches, "RefreshOwn": elastic.RefreshOwn} {
		t.Run(name, func(t *testing.T) {
			h := dbtest.Harness{Open: func(t testing.TB, opts ...db.Option) db.DB {
				t.Helper()
				d, err := db.New(append(opts, elastic.Backend(server.Addr(), elastic.WithReplicas(0), elastic.WithRefresh(refresh)), db.WithDialTimeout(30*time.Second))...)
				if err != nil {
					t.Fatal(err)
				}
				return d
			}}
			if refresh == elastic.RefreshSearches {
				h.Restart = func(testing.TB) { server.Kill(); server.Restart() }
			}
			dbtest.Run(t, h)
		})
	}
}
