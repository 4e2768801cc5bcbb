package router_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/internal/nth"
	"github.com/micro/go-platform/router"
)

// plannedExchange is an exchange behind a plan.
type plannedExchange struct {
	router.Exchange
	p nth.Plan
}

func (x plannedExchange) Publish(ctx context.Context, r router.Report) error {
	return nth.Write(ctx, x.p, "Publish", func() error { return x.Exchange.Publish(ctx, r) })
}

func (x plannedExchange) PublishView(ctx context.Context, v router.View) error {
	return nth.Write(ctx, x.p, "PublishView", func() error { return x.Exchange.PublishView(ctx, v) })
}

func (x plannedExchange) Reports(ctx context.Context, service string, f func(router.Report)) error {
	return nth.Check(ctx, x.p, "Reports", func(ctx context.Context) error { return x.Exchange.Reports(ctx, service, f) })
}

func (x plannedExchange) Views(ctx context.Context, service string, f func(router.View)) error {
	return nth.Check(ctx, x.p, "Views", func(ctx context.Context) error { return x.Exchange.Views(ctx, service, f) })
}

// Whatever call of an exchange fails, and however: no call of the user's hears of it,
// it is tried again, and what one router saw moves the weight at another in the end.
func TestEveryCallOfTheExchangeMayFail(t *testing.T) {
	for _, views := range []bool{false, true} {
		t.Run(fmt.Sprint("from views ", views), func(t *testing.T) {
			nth.Run(t, nth.Promises{Unavailable: router.ErrUnavailable}, func(t *testing.T, p nth.Plan) nth.World {
				p.Within("Reports", 10*time.Second)
				p.Within("Views", 10*time.Second)
				d, err := discovery.New(static.Backend(fleet(4)...))
				if err != nil {
					t.Fatal(err)
				}
				var routers [2]router.Router
				calls := func(ctx context.Context, r router.Router) error {
					for range 40 {
						pick, err := r.Pick(ctx, "greeter")
						if err != nil {
							return err
						}
						pick.Done(failing("n0003")(pick.Instance.ID))
					}
					return nil
				}
				return nth.World{
					Background: []string{"Publish", "PublishView", "Reports", "Views"},
					Steps: []nth.Step{
						{Name: "new", Do: func(context.Context) (err error) {
							x := plannedExchange{router.Memory(), p}
							for i := range routers {
								routers[i], err = router.New(router.WithDiscovery(d), neverEject(), router.WithStrategy(router.RoundRobin()),
									router.WithSharing(x, router.Sharing{Interval: 5 * time.Second, FromViews: views}))
								if err != nil {
									return err
								}
							}
							go router.Aggregate(t.Context(), x, router.Aggregation{})
							return nil
						}},
						{Name: "a call of the other", Do: func(ctx context.Context) error { // it follows the service from then on
							pick, err := routers[1].Pick(ctx, "greeter")
							if err == nil {
								pick.Done(router.Outcome{Class: router.Cancelled})
							}
							return err
						}},
						{Name: "share", Do: func(ctx context.Context) error {
							for range 8 {
								if err := calls(ctx, routers[0]); err != nil {
									return err
								}
								time.Sleep(5 * time.Second)
							}
							for _, s := range routers[1].Stats("greeter") {
								if (s.ID == "n0003") != (s.View < 0.9) {
									return fmt.Errorf("the view makes %v of the weight of %s", s.View, s.ID)
								}
							}
							return nil
						}},
						{Name: "close", Once: true, Do: func(ctx context.Context) (err error) {
							ctx = context.WithoutCancel(ctx)
							for _, r := range routers {
								if r != nil {
									err = r.Close(ctx)
								}
							}
							d.Close()
							return err
						}},
					},
				}
			})
		})
	}
}
