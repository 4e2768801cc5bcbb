package ring

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/kv"
)

// All nodes but one are restarted, one after the other: nothing that was acknowledged is
// lost and nothing that was deleted comes back, if each was drained before it stopped, or
// was settled before the next one stopped without a word.
func TestARollingRestartLosesNothing(t *testing.T) {
	for name, drained := range map[string]bool{"drained": true, "killed and settled": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, "a", "b", "c", "d")
			const keys = 300 // of which every third is deleted
			for i := range keys {
				c.nodes["a"].put(t, fmt.Sprint(i), fmt.Sprint("value of ", i))
			}
			for i := 0; i < keys; i += 3 {
				if err := c.nodes["b"].Delete(t.Context(), fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
			}
			for _, id := range []string{"b", "c", "d"} {
				c.leave(c.nodes[id], drained)
				n := c.join(id)
				if !drained {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					err := n.Settled(ctx)
					cancel()
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, n := range c.nodes {
				for i := range keys {
					item, err := n.Get(t.Context(), fmt.Sprint(i))
					if want := fmt.Sprint("value of ", i); i%3 != 0 && (err != nil || string(item.Value) != want) || i%3 == 0 && !errors.Is(err, kv.ErrNotFound) {
						t.Errorf("%s: key %d is %q, %v", n.self, i, item.Value, err)
					}
				}
			}
		})
	}
}
