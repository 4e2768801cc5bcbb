package main

import (
	"context"
	"runtime"
	"runtime/debug"
)

func versionVerb() *command {
	return &command{
		name: "version", short: "print the version of this program",
		examples: []string{"platform version"},
		setup: func(*flags) action {
			return func(_ context.Context, c *call) error {
				v := version()
				return c.done(v, "platform %s, %s, %s", v.Version, v.Go, v.Platform)
			}
		},
	}
}

type versionJSON struct {
	Version  string `json:"version"` // of the module; "(devel)" of a build from source
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func version() versionJSON {
	v := versionJSON{"(devel)", runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	return v
}
