package kubernetes

import "github.com/micro/go-platform/engine"

// URL returns the engine of a URL that has a scheme of Open, from the set that was
// asked: kubernetes (kubernetes://in-cluster, kubernetes://host) or kubeconfig. The backends' URL functions call it.
func URL(c *engine.Choice) (*Engine, bool) {
	return engine.Take(c, func(addr string) (*Engine, error) { return Open(addr) }, "kubernetes", "kubeconfig")
}
