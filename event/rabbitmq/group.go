package rabbitmq

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/rabbitmq"
	"github.com/micro/go-platform/internal/fault"
	amqp "github.com/rabbitmq/amqp091-go"
)

func (d *driver) Join(ctx context.Context, g event.GroupConfig) (event.Member, error) {
	after, err := d.locate(ctx, g.Start)
	if err != nil {
		return nil, err
	}
	has, ok, err := d.current(ctx, g.Name)
	if err != nil {
		return nil, err
	}
	if !ok {
		made := group{Name: g.Name, ID: event.NewID()[24:], Types: g.Types.List(), After: after, Exclusive: g.Exclusive}
		made.Mark, err = d.mark(ctx, after)
		if err != nil {
			return nil, err
		}
		if err := d.note(ctx, made); err != nil {
			return nil, err
		}
		has, ok, err = d.current(ctx, g.Name)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, deleted(g.Name)
		}
	}
	if err := g.CheckTypes(has.Types); err != nil {
		return nil, err
	}
	if g.Exclusive && !has.Exclusive {
		return nil, fault.Markf(fault.Conflict, "group %q was made without Ordered, which its queue cannot be given later: delete the group, or use another", g.Name)
	}
	if err := d.declareGroup(ctx, has); err != nil {
		return nil, err
	}
	return d.join(has, g), nil
}

func (d *driver) Groups(ctx context.Context) ([]event.GroupInfo, error) {
	var all []group
	if err := d.known(ctx, func(groups map[string]group) { all = slices.Collect(maps.Values(groups)) }); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b group) int { return cmp.Compare(a.Name, b.Name) })
	list := make([]event.GroupInfo, len(all))
	for i, g := range all {
		lag, err := d.lag(ctx, g)
		if err != nil {
			return nil, err
		}
		list[i] = event.GroupInfo{Name: g.Name, Types: g.Types, Lag: lag}
	}
	return list, nil
}

func (d *driver) DeleteGroup(ctx context.Context, name string) error {
	g, ok, err := d.current(ctx, name)
	if err != nil {
		return err
	}
	if !ok {
		return fault.NotFound
	}
	if err := d.note(ctx, group{Deleted: true, Name: name, ID: g.ID}); err != nil {
		return err
	}
	// From here on it is forgotten: what is left of it disturbs nobody.
	for _, queue := range []string{d.names.queue(g), d.names.cursor(g)} {
		err := d.ask(ctx, func(ch *amqp.Channel) error {
			_, err := ch.QueueDelete(queue, false, false, false)
			return err
		})
		if err != nil && !rabbitmq.Missing(err) {
			d.log.Warn("event: a queue of a deleted group is left", "queue", queue, "error", err)
		}
	}
	return nil
}
