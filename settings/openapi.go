package settings

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// addDocument serves the OpenAPI document to everyone, or to signed-in users only.
func (h *handler) addDocument(private bool) {
	if document := h.openAPI(); private {
		h.privateDocument = document.body
	} else {
		h.assets["/api/openapi.json"] = document
	}
}

// openAPI returns the OpenAPI document of this configuration, with its cookie name,
// and without client secrets or sessions if there are none.
func (h *handler) openAPI() asset {
	var doc map[string]any
	must(0, json.Unmarshal(must(files.ReadFile("openapi.json")), &doc))
	cookie := doc["components"].(map[string]any)["securitySchemes"].(map[string]any)["cookie"].(map[string]any)
	if h.cookie != nil {
		cookie["name"] = h.cookie.Policy().Name
	} else {
		cookie["name"], cookie["description"] = "session", "A signed-in session. The service may use another cookie."
		removePart(doc, "sessions", "Session", "SessionList")
	}
	if h.secret == nil {
		removePart(doc, "secret", "Secret", "NewSecret")
	}
	return asset{"application/json", "no-cache", must(json.MarshalIndent(doc, "", "  "))}
}

// removePart removes the operations with a tag, and schemas that nothing else uses.
func removePart(doc map[string]any, tag string, schemas ...string) {
	maps.DeleteFunc(doc["paths"].(map[string]any), func(path string, _ any) bool { return strings.HasPrefix(path, "/"+tag) })
	for _, name := range schemas {
		delete(doc["components"].(map[string]any)["schemas"].(map[string]any), name)
	}
	doc["tags"] = slices.DeleteFunc(doc["tags"].([]any), func(t any) bool { return t.(map[string]any)["name"] == tag })
}
