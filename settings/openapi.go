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
// and without client secrets if there are none.
func (h *handler) openAPI() asset {
	var doc map[string]any
	must(0, json.Unmarshal(must(files.ReadFile("openapi.json")), &doc))
	paths := doc["paths"].(map[string]any)
	components := doc["components"].(map[string]any)
	cookie := components["securitySchemes"].(map[string]any)["cookie"].(map[string]any)
	cookie["name"] = h.cookie.Policy().Name
	if h.secret == nil {
		maps.DeleteFunc(paths, func(path string, _ any) bool { return strings.HasPrefix(path, "/secret") })
		schemas := components["schemas"].(map[string]any)
		delete(schemas, "Secret")
		delete(schemas, "NewSecret")
		doc["tags"] = slices.DeleteFunc(doc["tags"].([]any), func(tag any) bool { return tag.(map[string]any)["name"] == "secret" })
	}
	return asset{"application/json", "no-cache", must(json.MarshalIndent(doc, "", "  "))}
}
