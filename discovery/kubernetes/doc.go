// Package kubernetes is a backend of package discovery on Kubernetes: it follows
// the EndpointSlices of Services through the API server.
//
//	d, err := discovery.New(kubernetes.Backend("in-cluster"))
//	s, err := d.Get(ctx, "greeter") // the Service greeter of this namespace
//
// # Backends
//
// A cluster of Kubernetes 1.21 or later, from a pod or from outside. Package
// engine/kubernetes has the forms of the address, credentials and limits. The
// service account needs list and watch on endpointslices of discovery.k8s.io in
// each namespace that is followed, and more for options that say so; see
// docs/kubernetes.md.
//
// # Semantics
//
// A service is the Service of that name, in the namespace of
// discovery.WithNamespace or else of the engine, at its first port; WithTargets
// and ParseTarget choose others. An instance is one of its endpoints: its ID is
// the pod's name, or the address, its zone is the endpoint's. An endpoint that is
// ready is up; one that terminates and serves still is draining; one that
// terminates otherwise is down; one that is not ready is starting. Of a service
// with two families of addresses the IPv4 one is used where there is one.
//
// All services of a namespace share one watch. A Service or a pod is read only
// where its labels are asked for (WithServiceLabels, WithPodLabels).
//
// Instances in pods are entered and removed by Kubernetes, and Register is
// ErrUnsupported. With WithRegistration it enters instances that run outside the
// cluster, each as an EndpointSlice that carries the instance in an annotation;
// readers need no option. The right to get, create, update, patch and delete
// endpointslices is needed for that. A heartbeat is a patch of the slice, which
// everybody who watches EndpointSlices gets, so register dozens, not thousands,
// and choose a long TTL where you can. Readers of this package drop an instance
// whose heartbeats end, each by its own clock; for others, such as kube-proxy, its
// slice stays until a process that has WithRegistration and follows the service
// removes it, after three TTLs. An address that no endpoint may have, as 127.0.0.1,
// is seen by readers of this package alone.
//
// If nothing is left of what was followed, or an older version of the store is
// back, instances count as lost, not as deregistered, and stay for their TTL.
//
// # Errors
//
// As in package discovery. A missing right is ErrDenied, and the text names it. A
// namespace that Kubernetes can't have is ErrInvalid.
//
// # Closing
//
// Close closes the engine that Backend opened; one given to On stays open.
package kubernetes
