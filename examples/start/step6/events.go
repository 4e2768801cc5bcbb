package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/event"
)

// snippet: events
// note publishes that somebody was greeted.
func note(ctx context.Context, app *platform.App, name string) error {
	return app.Event().Publish(ctx, &event.Record{Type: "greeting.made", Subject: name})
}

// follow notes greetings, each in one of the instances. A record may come twice,
// so it is kept under its id.
func follow(ctx context.Context, app *platform.App) error {
	_, err := app.Event().Subscribe(ctx, func(ctx context.Context, r *event.Record) error {
		_, err := app.KV().Put(ctx, "greeted/"+r.Subject+"/"+r.ID, []byte(r.Time.Format(time.RFC3339)))
		return err
	}, event.Types("greeting.*"), event.Group("notes"), event.From(event.Beginning()))
	return err
}

// greeted answers how often somebody was greeted, by whichever instance.
func greeted(app *platform.App) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		n := 0
		for _, err := range app.KV().List(r.Context(), "greeted/"+r.PathValue("name")+"/") {
			if err != nil {
				http.Error(rw, "the notes can't be read", http.StatusServiceUnavailable)
				return
			}
			n++
		}
		fmt.Fprintf(rw, "%s: %d\n", r.PathValue("name"), n)
	}
}

// end snippet
