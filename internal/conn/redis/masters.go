package redis

import (
	"context"
	"sync"

	"github.com/micro/go-platform/internal/fault"
	"github.com/redis/go-redis/v9"
)

// Masters returns the clients of a cluster's primaries, asking the cluster, or
// the one client. Its error has its kind.
func Masters(ctx context.Context, c *Client) ([]*redis.Client, error) {
	switch u := c.UniversalClient.(type) {
	case *redis.Client:
		return []*redis.Client{u}, nil
	case *redis.ClusterClient:
		type list struct {
			sync.Mutex
			masters []*redis.Client
		}
		l, err := Do(ctx, c, func(ctx context.Context) (*list, error) {
			l := &list{}
			return l, u.ForEachMaster(ctx, func(_ context.Context, m *redis.Client) error {
				l.Lock()
				defer l.Unlock()
				l.masters = append(l.masters, m)
				return nil
			})
		})
		if err != nil {
			return nil, ReadError(err)
		}
		return l.masters, nil
	}
	return nil, fault.Markf(fault.Unsupported, "a %T", c.UniversalClient)
}
