package kubernetes

import "net/url"

// Meta is what all objects have, as far as it is used here. Embed it with the
// tag `json:"metadata"`.
type Meta struct {
	Name            string            `json:"name,omitempty"`
	Namespace       string            `json:"namespace,omitempty"`
	UID             string            `json:"uid,omitempty"`
	ResourceVersion string            `json:"resourceVersion,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
	Annotations     map[string]string `json:"annotations,omitempty"`
}

// Object is a pointer to a struct that has a Meta.
type Object[T any] interface {
	*T
	ObjectMeta() *Meta
}

// Resource is a collection of objects.
type Resource struct {
	Group     string // "" is the core group
	Version   string
	Kind      string // of one of them
	Plural    string // in paths
	Namespace string // "" is all namespaces, or none for resources of the cluster
	Bare      bool   // List and Follow ask for the metadata alone
}

// In returns the same resource of a namespace.
func (r Resource) In(namespace string) Resource { r.Namespace = namespace; return r }

// APIVersion returns group and version as objects name them.
func (r Resource) APIVersion() string {
	if r.Group == "" {
		return r.Version
	}
	return r.Group + "/" + r.Version
}

// path returns where the collection is, or one of its objects.
func (r Resource) path(name string) string {
	path := "/apis/" + r.APIVersion()
	if r.Group == "" {
		path = "/api/" + r.Version
	}
	if r.Namespace != "" {
		path += "/namespaces/" + r.Namespace
	}
	path += "/" + r.Plural
	if name != "" {
		path += "/" + url.PathEscape(name)
	}
	return path
}

// accept returns in which form a collection is asked for.
func (r Resource) accept(bare string) string {
	if !r.Bare {
		return ""
	}
	return "application/json;as=" + bare + ";g=meta.k8s.io;v=v1"
}

// Selector narrows a collection. The zero value is all of it.
type Selector struct {
	Labels string // "app=greeter,tier!=cache"
	Fields string // "metadata.name=settings"
}

func (s Selector) query() url.Values {
	q := url.Values{}
	if s.Labels != "" {
		q.Set("labelSelector", s.Labels)
	}
	if s.Fields != "" {
		q.Set("fieldSelector", s.Fields)
	}
	return q
}

// Named selects one object.
func Named(name string) Selector { return Selector{Fields: "metadata.name=" + name} }
