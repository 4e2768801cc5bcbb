package db_test

import (
	"context"
	"fmt"

	"github.com/micro/go-platform/db"
)

func ExampleFullText() {
	d, _ := db.New()
	defer d.Close()
	ctx := context.Background()
	posts, _ := d.Table(ctx, "posts", db.FullText("title"))
	posts.Create(ctx, &db.Record{ID: "1", Metadata: map[string]any{"title": "Three red bicycles"}})
	posts.Create(ctx, &db.Record{ID: "2", Metadata: map[string]any{"title": "A blue bicycle, not red"}})
	for r := range posts.All(ctx, db.Where(db.Match("title", "RED bicycle"))) {
		fmt.Println(r.Metadata["title"])
	}
	// Output: A blue bicycle, not red
}
