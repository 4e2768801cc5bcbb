package page

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html"
	"strings"
)

//go:embed ui
var ui embed.FS

// The parts of the page's one style sheet and one script, in this order. They
// share one scope.
var (
	styles  = []string{"base.css", "parts.css", "more.css"}
	scripts = []string{"dom.js", "plot.js", "cluster.js", "map.js", "timeline.js", "router.js", "traces.js", "events.js", "config.js", "locks.js", "levels.js", "find.js", "app.js"}
)

// document is the HTML with everything in it, and the policy that lets nothing
// but its own script and style run.
type document struct {
	html   []byte
	policy string
}

func newDocument(title string) document {
	style, script := join(styles), "\"use strict\";\n"+join(scripts)
	page := strings.NewReplacer("{{title}}", html.EscapeString(title), "{{style}}", style, "{{script}}", script).Replace(join([]string{"page.html"}))
	return document{[]byte(page), "default-src 'none'; script-src " + hash(script) + "; style-src " + hash(style) +
		"; style-src-attr 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
}

func join(names []string) string {
	var all strings.Builder
	for _, name := range names {
		b, err := ui.ReadFile("ui/" + name)
		if err != nil {
			panic(err) // it is compiled in
		}
		all.Write(b)
	}
	return all.String()
}

// hash is a source expression of Content Security Policy Level 3, section 2.3.1.
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
