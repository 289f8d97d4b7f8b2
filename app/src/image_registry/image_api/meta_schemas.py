"""What every kind carries and every request may bring: metadata, options and ``Status``."""

from __future__ import annotations

from image_registry.image_api.schema_words import TYPE, Schema, array, flag, gvk, members, number, of, text, texts, time

META: dict[str, Schema] = {
    "ObjectMeta": members(
        "What every object carries.",
        {
            "name": text("Name; together with the namespace it is unique."),
            "namespace": text("Namespace that owns the object; empty for objects of the cluster."),
            "uid": text("Identity in time and space: an object made anew under the same name has another one."),
            "resourceVersion": text("State of the object; it changes with every change. Compare for equality only."),
            "generation": number("Counts the changes of what is wanted."),
            "generateName": text("Beginning of a name that the server completes, for an object without a name."),
            "selfLink": text("Never set; accepted because old clients send it."),
            "creationTimestamp": time("When the object was made."),
            "deletionTimestamp": time("Since when the object waits for its finalizers to be removed."),
            "deletionGracePeriodSeconds": number("Always 0 when the object is being deleted."),
            "labels": texts("Labels, which selectors match."),
            "annotations": texts("Annotations, which tools read."),
            "ownerReferences": array(
                {"$ref": "OwnerReference"},
                "Objects that this one depends on; the garbage collector deletes it when all of them are gone.",
                "uid",
            ),
            "finalizers": {
                **array({"type": "string"}, "Who must do something before the object may go."),
                "x-kubernetes-list-type": "set",
                "x-kubernetes-patch-strategy": "merge",
            },
            "managedFields": array({"$ref": "ManagedFieldsEntry"}, "Who set what; written by the server."),
        },
    ),
    "OwnerReference": {
        **members(
            "An object that another one depends on.",
            {
                "apiVersion": text("Group and version of the owner."),
                "kind": text("Kind of the owner."),
                "name": text("Name of the owner."),
                "uid": text("uid of the owner."),
                "controller": flag("True for the one owner that manages the object."),
                "blockOwnerDeletion": flag("Whether the owner waits for this object when it goes in the foreground."),
            },
            ("apiVersion", "kind", "name", "uid"),
        ),
        "x-kubernetes-map-type": "atomic",
    },
    "ManagedFieldsEntry": members(
        "What one manager has set.",
        {
            "manager": text("Who."),
            "operation": text("How: Apply or Update."),
            "apiVersion": text("Version of the object that was sent."),
            "time": time("When this last changed."),
            "fieldsType": text("Form of fieldsV1: FieldsV1."),
            "fieldsV1": {
                "description": "Paths of the members, as a tree.",
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
            },
            "subresource": text("Through which subresource, if any."),
        },
    ),
    "ListMeta": members(
        "What every list carries.",
        {
            "resourceVersion": text("State that the list shows at least."),
            "continue": text("Set when more follows: send it to go on."),
            "remainingItemCount": number("How many more there are, if known."),
        },
    ),
    "DeleteOptions": {
        **members(
            "How to delete.",
            {
                **TYPE,
                "dryRun": array({"type": "string"}, "All: check everything and delete nothing."),
                "gracePeriodSeconds": number("Ignored: nothing here ends slowly."),
                "orphanDependents": flag("Ignored: nothing here has dependents."),
                "preconditions": of("Preconditions", "What must hold, else the answer is a conflict."),
                "propagationPolicy": text("Background, Foreground or Orphan; all mean the same here."),
            },
        ),
        **gvk("DeleteOptions"),
    },
    "Patch": {
        "description": "A change of an object, in the form that its media type says.",
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
    },
    "Preconditions": members(
        "What must hold before an object is changed.",
        {"resourceVersion": text("The resourceVersion of the object."), "uid": text("The uid of the object.")},
    ),
    "Status": members(
        "How a request ended that does not answer with an object.",
        {
            **TYPE,
            "metadata": of("ListMeta", "Continuation, when a list cannot go on as before."),
            "status": text("Success or Failure."),
            "message": text("For people."),
            "reason": text("For programs: one word."),
            "details": of("StatusDetails", "What it is about."),
            "code": {"description": "HTTP status code.", "type": "integer", "format": "int32"},
        },
    ),
    "StatusDetails": members(
        "What a Status is about.",
        {
            "name": text("Name of the object."),
            "group": text("API group of the object."),
            "kind": text("Resource of the object."),
            "uid": text("uid of the object."),
            "causes": array({"$ref": "StatusCause"}, "Everything that is wrong."),
            "retryAfterSeconds": {
                "description": "When to ask again.",
                "type": "integer",
                "format": "int32",
            },
        },
    ),
    "StatusCause": members(
        "One thing that is wrong.",
        {
            "field": text("Where, as a path."),
            "message": text("For people."),
            "reason": text("For programs: one word."),
        },
    ),
}
