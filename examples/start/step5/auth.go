package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/static"
)

// callers reads who may do what: a file of tokens by the names of those who have them.
func callers(file string) ([]auth.Option, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var tokens map[string]string
	if err := json.Unmarshal(text, &tokens); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	caller := func(name string) static.Caller {
		return static.Caller{Token: auth.Secret(tokens[name]), Subject: name, Audience: []string{"greeter"}}
	}
	return []auth.Option{
		static.Backend(caller("greeter"), static.WithCaller(caller("ann")),
			static.WithToken("greeter", auth.Secret(tokens["greeter"]))), // what an instance shows the others
		auth.WithRules(
			auth.Rule{ID: "ann greets", Effect: auth.Allow, Subjects: []string{"ann"}, Actions: []string{"GET"}, Resources: []string{"/hello/*", "/ask/*"}},
			auth.Rule{ID: "greeters ask", Effect: auth.Allow, Subjects: []string{"greeter"}, Actions: []string{"GET"}, Resources: []string{"/hello/*"}},
			auth.Rule{ID: "ann looks", Effect: auth.Allow, Subjects: []string{"ann"}, Actions: []string{"read"}, Resources: []string{"platform/page"}}),
	}, nil
}
